#include "server/fetch_session.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/assert.h"

namespace odr::server {
namespace {

constexpr std::int32_t kInitialEpoch = 0;  // asks for a new session
constexpr std::int32_t kFinalEpoch = -1;   // asks for none, and ends one

constexpr std::int32_t next_epoch(std::int32_t epoch) {
    if (epoch < 0) return kFinalEpoch;
    return epoch == std::numeric_limits<std::int32_t>::max() ? 1 : epoch + 1;
}

std::vector<FetchTarget> targets_of(const protocol::FetchRequest& request) {
    std::vector<FetchTarget> out;
    for (const auto& topic : request.topics) {
        const auto name = topic.topic.empty() ? nullptr : std::make_shared<const std::string>(topic.topic);
        for (const auto& partition : topic.partitions) {
            out.push_back({.topic = name,
                           .topic_id = topic.topic_id,
                           .partition = partition.partition,
                           .current_leader_epoch = partition.current_leader_epoch,
                           .fetch_offset = Offset{partition.fetch_offset},
                           .last_fetched_epoch = partition.last_fetched_epoch,
                           .bytes_max = partition.partition_max_bytes});
        }
    }
    return out;
}

bool has_records(const FetchedPartition& fetched) { return fetched.data.records.size() > 0; }

}  // namespace

FetchSession::FetchSession(std::int32_t session_id, bool follower, bool topic_ids, std::int64_t now_ms)
    : id{session_id},
      is_from_follower{follower},
      uses_topic_ids{topic_ids},
      created_ms{now_ms},
      last_used_ms_{now_ms} {}

FetchSession::Entry::Entry(FetchSession& session, const FetchTarget& asked, std::uint64_t its_turn)
    : target{asked}, turn{its_turn}, session_{session} {}

FetchSession::Entry::~Entry() {
    if (feed_ != nullptr) feed_->remove(*this);  // nobody makes it due from here on
    std::lock_guard guard{session_.due_mutex_};
    session_.unlink(*this);
}

bool FetchSession::Entry::follow(const std::shared_ptr<replication::ChangeFeed>& feed) {
    if (feed_ == feed) return true;  // if it was closed meanwhile, this was told
    if (feed_ != nullptr) feed_->remove(*this);
    feed_ = feed->add(*this) ? feed : nullptr;
    return feed_ != nullptr;
}

FetchSession::Key FetchSession::key_of(const FetchTarget& target) {
    return {target.topic_id,
            target.topic_id.is_zero() && target.topic ? std::string_view{*target.topic} : std::string_view{},
            target.partition};
}

FetchSession::Entry& FetchSession::put(const FetchTarget& target) {
    auto found = entries_.find(key_of(target));
    if (found == entries_.end()) {
        found = entries_.insert(std::make_unique<Entry>(*this, target, next_turn_++)).first;
        size_.store(entries_.size(), std::memory_order_relaxed);
    } else {
        (*found)->target = target;
    }
    make_due(**found);
    return **found;
}

void FetchSession::forget(const Key& key) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return;
    entries_.erase(found);
    size_.store(entries_.size(), std::memory_order_relaxed);
}

bool FetchSession::is_news(Entry& entry, const FetchedPartition& fetched) {
    const auto& data = fetched.data;
    const bool failed = data.error_code != 0;
    const bool news = has_records(fetched) || failed || entry.high_watermark != data.high_watermark ||
                      entry.log_start_offset != data.log_start_offset || data.preferred_read_replica != -1 ||
                      data.diverging_epoch.epoch >= 0;
    entry.high_watermark = failed ? -1 : data.high_watermark;  // so that the partition is told again once it is well
    entry.log_start_offset = data.log_start_offset;
    return news;
}

void FetchSession::link(Entry& entry) {
    if (std::exchange(entry.is_due_, true)) return;
    entry.previous_due_ = nullptr;
    entry.next_due_ = first_due_;
    if (first_due_ != nullptr) first_due_->previous_due_ = &entry;
    first_due_ = &entry;
}

void FetchSession::unlink(Entry& entry) {
    if (!std::exchange(entry.is_due_, false)) return;
    (entry.previous_due_ == nullptr ? first_due_ : entry.previous_due_->next_due_) = entry.next_due_;
    if (entry.next_due_ != nullptr) entry.next_due_->previous_due_ = entry.previous_due_;
}

void FetchSession::make_due(Entry& entry) {
    std::lock_guard guard{due_mutex_};
    link(entry);
}

void FetchSession::make_all_due() {
    std::lock_guard guard{due_mutex_};
    for (const auto& entry : entries_) link(*entry);
}

// What changes from here on makes its entry due again, so what is read afterwards is the newest or is read once more.
void FetchSession::take_due(std::vector<Entry*>& taken) {
    std::lock_guard guard{due_mutex_};
    while (first_due_ != nullptr) {
        Entry& entry = *first_due_;
        unlink(entry);
        if (!std::exchange(entry.is_taken, true)) taken.push_back(&entry);
    }
}

void FetchSession::interrupt_waiter() {
    std::lock_guard guard{due_mutex_};
    if (replication::FetchWaiter* const waiter = std::exchange(waiter_, nullptr)) waiter->wake();
}

void FetchSession::note(Entry& entry, const replication::Change& change) {
    std::lock_guard guard{due_mutex_};
    link(entry);
    if (waiter_ != nullptr) waiter_->note(change);
}

// --- the cache

namespace {

constexpr std::size_t kSlotsForAShard = 64;  // fewer, and a shard is full while others have room
constexpr std::size_t kShardsMax = 16;
constexpr int kAttempts = 4;  // to find a shard with room

std::size_t shards_for(std::size_t slots) { return std::clamp<std::size_t>(slots / kSlotsForAShard, 1, kShardsMax); }

}  // namespace

FetchSessionCache::FetchSessionCache(std::size_t slots, Random& random) : random_{random}, shards_(shards_for(slots)) {
    for (std::size_t i = 0; i < shards_.size(); ++i) {
        shards_[i].slots = slots / shards_.size() + (i < slots % shards_.size() ? 1 : 0);
    }
}

std::size_t FetchSessionCache::size() const {
    std::size_t out = 0;
    for (const Shard& shard : shards_) {
        std::lock_guard guard{shard.mutex};
        out += shard.sessions.size();
    }
    return out;
}

std::shared_ptr<FetchSession> FetchSessionCache::find_and_touch(std::int32_t id, std::int64_t now_ms) {
    Shard& shard = shard_of(id);
    std::lock_guard guard{shard.mutex};
    const auto found = shard.sessions.find(id);
    if (found == shard.sessions.end()) return nullptr;
    found->second->last_used_ms_ = now_ms;
    return found->second;
}

void FetchSessionCache::remove(std::int32_t id) {
    Shard& shard = shard_of(id);
    std::shared_ptr<FetchSession> gone;  // without the lock: it leaves the feed of each of its partitions
    std::lock_guard guard{shard.mutex};
    const auto found = shard.sessions.find(id);
    if (found == shard.sessions.end()) return;
    gone = std::move(found->second);
    shard.sessions.erase(found);
}

std::shared_ptr<FetchSession> FetchSessionCache::make(bool is_from_follower, bool uses_topic_ids,
                                                      std::size_t partitions, std::int64_t now_ms) {
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
        const auto id = static_cast<std::int32_t>(random_.next() & 0x7fffffff);
        Shard& shard = shard_of(id);
        std::shared_ptr<FetchSession> gone;
        std::lock_guard guard{shard.mutex};
        if (id == 0 || shard.slots == 0 || shard.sessions.contains(id)) continue;
        const bool is_full = shard.sessions.size() >= shard.slots;
        if (is_full && !shard.make_room(is_from_follower, partitions, now_ms, gone)) continue;
        auto made = std::make_shared<FetchSession>(id, is_from_follower, uses_topic_ids, now_ms);
        shard.sessions.emplace(id, made);
        return made;
    }
    return nullptr;
}

// A stale session goes first; else the least worth one, if the new one is worth more: followers' before consumers', the
// larger before the smaller, and only those that have had their time. (Kafka: FetchSessionCacheShard.tryEvict.)
bool FetchSessionCache::Shard::make_room(bool is_from_follower, std::size_t partitions, std::int64_t now_ms,
                                         std::shared_ptr<FetchSession>& gone) {
    const FetchSession* oldest = nullptr;
    const FetchSession* least = nullptr;
    const auto let_go = [&](std::int32_t id) {
        const auto found = sessions.find(id);
        gone = std::move(found->second);
        sessions.erase(found);
        return true;
    };
    const auto worth = [](const FetchSession& session) {
        return std::pair{session.is_from_follower, session.size_.load(std::memory_order_relaxed)};
    };
    for (const auto& [id, session] : sessions) {
        if (oldest == nullptr || session->last_used_ms_ < oldest->last_used_ms_) oldest = session.get();
        const bool had_its_time = now_ms - session->created_ms > kEvictionMs;
        const bool may_go = had_its_time || (is_from_follower && !session->is_from_follower);
        if (may_go && (least == nullptr || worth(*session) < worth(*least))) least = session.get();
    }
    if (oldest != nullptr && now_ms - oldest->last_used_ms_ > kEvictionMs) {
        return let_go(oldest->id);
    }
    if (least == nullptr || std::pair{is_from_follower, partitions} < worth(*least)) return false;
    return let_go(least->id);
}

// --- one fetch

Result<FetchContext> FetchContext::open(FetchSessionCache& cache, const protocol::FetchRequest& request,
                                        std::int16_t version, std::uint64_t metadata_version, std::int64_t now_ms) {
    FetchContext context{cache};
    context.uses_topic_ids_ = version >= 13;
    context.view_ = {.isolation_level = request.isolation_level,
                     .is_from_follower = (version >= 15 ? request.replica_state.replica_id : request.replica_id) >= 0,
                     .metadata_version = metadata_version};
    const bool is_full = request.session_epoch == kInitialEpoch || request.session_epoch == kFinalEpoch;
    if (is_full) {
        if (request.session_id != 0) cache.remove(request.session_id);
        context.kind_ = request.session_epoch == kFinalEpoch ? Kind::sessionless : Kind::full;
        context.targets_ = targets_of(request);
        return context;
    }
    auto session = cache.find_and_touch(request.session_id, now_ms);
    if (session == nullptr) return fail(ErrorCode::fetch_session_id_not_found, "no such fetch session");
    ODR_CHECK(context.open_session(std::move(session), request));
    return context;
}

Result<void> FetchContext::open_session(std::shared_ptr<FetchSession> found, const protocol::FetchRequest& request) {
    FetchSession& session = *found;
    std::unique_lock guard{session.mutex_};
    if (session.epoch_ != request.session_epoch) {
        return fail(ErrorCode::invalid_fetch_session_epoch, "the fetch session is at another epoch");
    }
    if (session.uses_topic_ids != uses_topic_ids_) {
        return fail(ErrorCode::fetch_session_topic_id_error,
                    "the fetch session has ids or names, the request the other");
    }
    for (const FetchTarget& target : targets_of(request)) session.put(target);
    for (const auto& topic : request.forgotten_topics_data) {
        for (const std::int32_t partition : topic.partitions) {
            session.forget({topic.topic_id, topic.topic, partition});
        }
    }
    session.epoch_ = next_epoch(session.epoch_);
    if (std::exchange(session.is_fetching_, true)) {  // the one before is superseded, and what it took is not looked at
        for (const auto& entry : session.entries_) entry->is_taken = false;
        session.make_all_due();
        session.interrupt_waiter();
    }
    if (std::exchange(session.view_, view_) != view_) session.make_all_due();
    if (session.entries_.empty()) {  // nothing left to remember
        guard.unlock();
        cache_->remove(session.id);
        return {};
    }
    kind_ = Kind::incremental;
    epoch_after_ = session.epoch_;
    session_ = std::move(found);
    return {};
}

FetchContext::~FetchContext() {
    if (session_ == nullptr) return;
    std::lock_guard guard{session_->mutex_};
    if (is_superseded()) return;
    session_->is_fetching_ = false;
    for (FetchSession::Entry* const entry : taken_) {
        entry->is_taken = false;
        session_->make_due(*entry);
    }
}

Result<std::span<const FetchTarget>> FetchContext::next_round() {
    if (kind_ != Kind::incremental) return targets_;
    std::lock_guard guard{session_->mutex_};
    if (is_superseded()) return fail(ErrorCode::invalid_fetch_session_epoch, "the fetch session went on meanwhile");
    const std::size_t before = taken_.size();
    session_->take_due(taken_);
    if (taken_.size() == before) return targets_;
    std::ranges::sort(taken_, {}, &FetchSession::Entry::turn);
    targets_.clear();
    targets_.reserve(taken_.size());
    for (const FetchSession::Entry* const entry : taken_) targets_.push_back(entry->target);
    return targets_;
}

void FetchContext::watch(std::size_t target, const std::shared_ptr<replication::ChangeFeed>& changes) {
    if (kind_ != Kind::incremental) return;
    std::lock_guard guard{session_->mutex_};
    if (is_superseded()) return;
    // Closed since it was found: the next look says so.
    if (!taken_[target]->follow(changes)) session_->make_due(*taken_[target]);
}

bool FetchContext::hang(replication::FetchWaiter& waiter) {
    std::lock_guard guard{session_->mutex_};
    if (is_superseded()) return false;
    std::lock_guard due_guard{session_->due_mutex_};
    if (session_->first_due_ != nullptr) return false;
    session_->waiter_ = &waiter;
    return true;
}

void FetchContext::unhang(replication::FetchWaiter& waiter) {
    std::lock_guard guard{session_->due_mutex_};
    if (session_->waiter_ == &waiter) session_->waiter_ = nullptr;
}

Result<std::int32_t> FetchContext::close(std::vector<FetchedPartition>& found, std::int64_t now_ms) {
    if (kind_ == Kind::sessionless) return 0;
    if (kind_ == Kind::full) {
        const auto session = cache_->make(view_.is_from_follower, uses_topic_ids_, found.size(), now_ms);
        if (session == nullptr) return 0;
        std::lock_guard guard{session->mutex_};
        for (const FetchedPartition& each : found) {
            FetchSession::Entry& entry = session->put(each.target);
            session->is_news(entry, each);
        }
        return session->id;
    }
    const std::shared_ptr<FetchSession> session = session_;
    std::lock_guard guard{session->mutex_};
    if (is_superseded()) {
        return fail(ErrorCode::invalid_fetch_session_epoch, "the fetch session went on without this request");
    }
    ODR_ASSERT(found.size() == taken_.size(), "found={} taken={}", found.size(), taken_.size());
    std::size_t at = 0;
    std::erase_if(found, [&](const FetchedPartition& each) {
        FetchSession::Entry& entry = *taken_[at++];
        entry.is_taken = false;
        if (!each.is_quiet) session->make_due(entry);
        if (has_records(each)) entry.turn = session->next_turn_++;
        return !session->is_news(entry, each);
    });
    session->is_fetching_ = false;
    session_ = nullptr;
    return session->id;
}

}  // namespace odr::server
