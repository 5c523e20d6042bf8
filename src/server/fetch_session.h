#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/types.h"
#include "base/uuid.h"
#include "protocol/generated/fetch_request.h"
#include "protocol/generated/fetch_response.h"

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
};

// Partitions that a client fetches again and again, so that a request names only what changed and an answer holds only
// what is new (KIP-227).
//
// Owner:   FetchSessionCache; shared with the fetch at hand. Threads: any; one lock.
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
    struct Key {
        Uuid topic_id;
        std::string topic;
        std::int32_t partition;
        friend bool operator==(const Key&, const Key&) = default;
    };
    struct KeyHash {
        std::size_t operator()(const Key& key) const noexcept {
            return std::hash<Uuid>{}(key.topic_id) ^ std::hash<std::string>{}(key.topic) ^
                   static_cast<std::size_t>(key.partition) * 0x9e3779b97f4a7c15ULL;
        }
    };
    struct Cached {
        FetchTarget target;
        std::int64_t high_watermark = -1;  // as the client was last told
        std::int64_t log_start_offset = -1;
    };
    static Key key_of(const FetchTarget& target);
    void put(const FetchTarget& target);
    // Gives: whether the client must be told. Remembers what it is told.
    bool is_news(const FetchedPartition& fetched);

    std::mutex mutex_;
    std::int32_t epoch_ = 1;   // under mutex_: what the next request must say
    std::list<Cached> order_;  // under mutex_: who gave records goes to the end
    std::unordered_map<Key, std::list<Cached>::iterator, KeyHash> by_key_;  // under mutex_
    std::int64_t last_used_ms_;                                             // under its shard's lock
    std::size_t cached_size_ = 0;                                           // under its shard's lock
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
        // Needs: mutex.
        bool make_room(bool is_from_follower, std::size_t partitions, std::int64_t now_ms);
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

// One fetch's view of its session: which partitions it asks for, and which of the found ones it answers.
//
// Kafka: FetchManager.newContext, FetchContext.
class FetchContext {
public:
    // Errors: fetch_session_id_not_found, invalid_fetch_session_epoch, fetch_session_topic_id_error.
    static Result<FetchContext> open(FetchSessionCache& cache, const protocol::FetchRequest& request,
                                     std::int16_t version, std::int64_t now_ms);

    const std::vector<FetchTarget>& targets() const { return targets_; }
    // Leaves in `found` what the client must hear. Gives: the session id of the answer; 0: none.
    // Errors: invalid_fetch_session_epoch when another request with this session was served meanwhile.
    Result<std::int32_t> close(std::vector<FetchedPartition>& found, std::int64_t now_ms);

private:
    explicit FetchContext(FetchSessionCache& cache) : cache_{&cache} {}

    enum class Kind { sessionless, full, incremental };
    FetchSessionCache* cache_;
    Kind kind_ = Kind::sessionless;
    bool is_from_follower_ = false;
    bool uses_topic_ids_ = false;
    std::int32_t epoch_after_ = 0;  // incremental: what the session must still say when the answer is made
    std::shared_ptr<FetchSession> session_;
    std::vector<FetchTarget> targets_;
};

}  // namespace odr::server
