#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/types.h"
#include "base/uuid.h"
#include "protocol/generated/fetch_request.h"
#include "protocol/generated/fetch_response.h"
#include "replication/partition.h"

namespace odr::server {

// One partition that a fetch asks for.
struct FetchTarget {
    std::shared_ptr<const std::string> topic;  // empty where the request has ids
    Uuid topic_id;                             // zero where the request has names
    std::int32_t partition = 0;
    std::int32_t current_leader_epoch = -1;
    Offset fetch_offset{0};
    std::int32_t last_fetched_epoch = -1;
    std::int32_t bytes_max = 0;
};

// What a fetch found in one partition.
struct FetchedPartition {
    FetchTarget target;
    protocol::FetchResponse::PartitionData data;
    // Nothing but a change that the partition tells of can give it more to say. Needs for true: FetchContext::watch()
    // before its offsets were read.
    bool is_quiet = false;
};

// What answers depend on beside the partitions. When it differs from the fetch before, every partition is looked at.
struct FetchView {
    std::int8_t isolation_level = 0;
    bool is_from_follower = false;
    std::uint64_t metadata_version = 0;  // of the image holder, read before anything is looked up in an image
    friend bool operator==(const FetchView&, const FetchView&) = default;
};

// Partitions that a client fetches again and again, so that a request names only what changed and an answer holds only
// what is new (KIP-227).
//
// A fetch costs by what is due, not by what is in the session. Due is what the request names, what was cut short or
// failed in the fetch before, and what its partition told a change of since; the rest is known to have nothing.
//
// Owner:   FetchSessionCache; shared with the fetch at hand.
// Threads: any. Locks, in this order: a shard's, mutex_, a ChangeFeed's, due_mutex_.
class FetchSession {
public:
    FetchSession(std::int32_t id, bool is_from_follower, bool uses_topic_ids, std::int64_t now_ms);

    const std::int32_t id;
    const bool is_from_follower;
    const bool uses_topic_ids;
    const std::int64_t created_ms;

private:
    friend class FetchSessionCache;
    friend class FetchContext;
    // One partition.
    class Entry final : public replication::ChangeSubscriber {
    public:
        Entry(FetchSession& session, const FetchTarget& target, std::uint64_t turn);
        ~Entry();
        void on_change(const replication::Change& change) override { session_.note(*this, change); }
        // Follows the changes of a partition, once. Gives: false when it is closed.
        bool follow(const std::shared_ptr<replication::ChangeFeed>& feed);

        FetchTarget target;
        std::int64_t high_watermark = -1;  // as the client was last told
        std::int64_t log_start_offset = -1;
        std::uint64_t turn;     // the order of the session: who gave records goes to the end
        bool is_taken = false;  // by the fetch under way

    private:
        friend class FetchSession;
        FetchSession& session_;
        std::shared_ptr<replication::ChangeFeed> feed_;
        Entry* next_due_ = nullptr;  // under due_mutex_, as what follows
        Entry* previous_due_ = nullptr;
        bool is_due_ = false;
    };
    struct Key {
        Uuid topic_id;
        std::string_view topic;  // empty where the topic has an id
        std::int32_t partition = 0;
        friend bool operator==(const Key&, const Key&) = default;
    };
    static Key key_of(const FetchTarget& target);
    static Key key_of(const Key& key) { return key; }
    static Key key_of(const std::unique_ptr<Entry>& entry) { return key_of(entry->target); }
    struct KeyHash {
        using is_transparent = void;
        std::size_t operator()(const auto& of) const noexcept {
            const Key key = key_of(of);
            return std::hash<Uuid>{}(key.topic_id) ^ std::hash<std::string_view>{}(key.topic) ^
                   static_cast<std::size_t>(key.partition) * 0x9e3779b97f4a7c15ULL;
        }
    };
    struct KeyEqual {
        using is_transparent = void;
        bool operator()(const auto& left, const auto& right) const { return key_of(left) == key_of(right); }
    };

    // Those without a lock's name need mutex_.
    Entry& put(const FetchTarget& target);  // and makes it due
    void forget(const Key& key);
    // Gives: whether the client must be told. Remembers what it is told.
    bool is_news(Entry& entry, const FetchedPartition& fetched);
    void make_all_due();
    void make_due(Entry& entry);
    void take_due(std::vector<Entry*>& taken);
    void interrupt_waiter();
    void note(Entry& entry, const replication::Change& change);  // under a feed's lock
    void link(Entry& entry);                                     // due_mutex_
    void unlink(Entry& entry);                                   // due_mutex_

    std::mutex due_mutex_;
    Entry* first_due_ = nullptr;                  // under due_mutex_
    replication::FetchWaiter* waiter_ = nullptr;  // under due_mutex_: the fetch that waits for something to be due

    std::mutex mutex_;
    std::int32_t epoch_ = 1;       // under mutex_: what the next request must say
    bool is_fetching_ = false;     // under mutex_: a fetch has taken entries and not given them back
    std::uint64_t next_turn_ = 0;  // under mutex_
    FetchView view_;               // under mutex_: of the latest fetch
    std::unordered_set<std::unique_ptr<Entry>, KeyHash, KeyEqual> entries_;  // under mutex_
    std::atomic<std::size_t> size_{0};                                       // of entries_
    std::int64_t last_used_ms_;                                              // under its shard's lock
};

// The sessions of this broker, at most max.incremental.fetch.session.cache.slots.
//
// In shards, each with its lock and its part of the slots, so that the reactors do not meet at one lock with every
// fetch; a session's id names its shard. Kafka: FetchSessionCache, FetchSessionCacheShard. Threads: any.
class FetchSessionCache {
public:
    static constexpr std::int64_t kEvictionMs = 120'000;  // unused for so long, or made so long ago, a session may go

    FetchSessionCache(std::size_t slots, Random& random);
    std::size_t size() const;
    std::size_t shard_count() const { return shards_.size(); }

private:
    friend class FetchContext;
    struct alignas(64) Shard {
        mutable std::mutex mutex;
        std::size_t slots = 0;
        std::unordered_map<std::int32_t, std::shared_ptr<FetchSession>> sessions;  // under mutex
        // Needs: mutex. Gives: whether there is room; who had to go is to be let go of without the lock.
        bool make_room(bool is_from_follower, std::size_t partitions, std::int64_t now_ms,
                       std::shared_ptr<FetchSession>& gone);
    };
    Shard& shard_of(std::int32_t id) { return shards_[static_cast<std::uint32_t>(id) % shards_.size()]; }
    std::shared_ptr<FetchSession> find_and_touch(std::int32_t id, std::int64_t now_ms);
    void remove(std::int32_t id);
    // Gives: null when the shards that it falls into are full of sessions worth more.
    std::shared_ptr<FetchSession> make(bool is_from_follower, bool uses_topic_ids, std::size_t partitions,
                                       std::int64_t now_ms);

    Random& random_;
    std::vector<Shard> shards_;
};

// One fetch's view of its session: which partitions it looks at, and which of the found ones it answers.
//
// Threads: the fetch's. A later request with the same session supersedes it from any thread.
// Kafka:   FetchManager.newContext, FetchContext.
class FetchContext {
public:
    // Errors: fetch_session_id_not_found, invalid_fetch_session_epoch, fetch_session_topic_id_error.
    static Result<FetchContext> open(FetchSessionCache& cache, const protocol::FetchRequest& request,
                                     std::int16_t version, std::uint64_t metadata_version, std::int64_t now_ms);
    FetchContext(FetchContext&&) = default;
    FetchContext& operator=(FetchContext&&) = delete;
    // What a fetch that ended without close() had taken is due again.
    ~FetchContext();

    // The partitions to look at, in the session's order: all that the request names, where there is no session yet;
    // else what is due, with what an earlier round of this fetch looked at. Good until the next call. Errors:
    // invalid_fetch_session_epoch when another request with this session came meanwhile.
    Result<std::span<const FetchTarget>> next_round();
    // The partition that was found for a target of this round. To be called before it is read.
    void watch(std::size_t target, const replication::Partition& partition) { watch(target, partition.changes()); }
    void watch(std::size_t target, const std::shared_ptr<replication::ChangeFeed>& changes);

    // Whether a fetch that has looked at everything may wait for its session, instead of hanging on each partition.
    bool waits_on_session() const { return kind_ == Kind::incremental; }
    // Gives: false, hanging nothing, when something is due already or another request came.
    bool hang(replication::FetchWaiter& waiter);
    void unhang(replication::FetchWaiter& waiter);
    bool asks_for_nothing() const { return kind_ != Kind::incremental && targets_.empty(); }

    // Leaves in `found`, which holds what was found for each target of the last round, what the client must hear.
    // Gives:  the session id of the answer; 0: none.
    // Errors: invalid_fetch_session_epoch when another request with this session was served meanwhile.
    Result<std::int32_t> close(std::vector<FetchedPartition>& found, std::int64_t now_ms);

private:
    explicit FetchContext(FetchSessionCache& cache) : cache_{&cache} {}
    Result<void> open_session(std::shared_ptr<FetchSession> found, const protocol::FetchRequest& request);
    bool is_superseded() const { return session_->epoch_ != epoch_after_; }  // under the session's mutex_

    enum class Kind { sessionless, full, incremental };
    FetchSessionCache* cache_;
    Kind kind_ = Kind::sessionless;
    bool uses_topic_ids_ = false;
    FetchView view_;
    std::int32_t epoch_after_ = 0;             // incremental: what the session must still say when the answer is made
    std::shared_ptr<FetchSession> session_;    // incremental: until close()
    std::vector<FetchSession::Entry*> taken_;  // incremental: of targets_; good while this is not superseded
    std::vector<FetchTarget> targets_;
};

}  // namespace odr::server
