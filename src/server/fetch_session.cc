#include "server/fetch_session.h"

#include <limits>

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

FetchSession::Key FetchSession::key_of(const FetchTarget& target) {
    return {target.topic_id, target.topic_id.is_zero() && target.topic ? *target.topic : std::string{},
            target.partition};
}

void FetchSession::put(const FetchTarget& target) {
    const auto [found, is_new] = by_key_.try_emplace(key_of(target));
    if (is_new) {
        found->second = order_.insert(order_.end(), Cached{.target = target});
    } else {
        found->second->target = target;
    }
}

bool FetchSession::is_news(const FetchedPartition& fetched) {
    const auto found = by_key_.find(key_of(fetched.target));
    if (found == by_key_.end()) return false;
    Cached& cached = *found->second;
    const auto& data = fetched.data;
    const bool failed = data.error_code != 0;
    const bool news = has_records(fetched) || failed || cached.high_watermark != data.high_watermark ||
                      cached.log_start_offset != data.log_start_offset || data.preferred_read_replica != -1 ||
                      data.diverging_epoch.epoch >= 0;
    cached.high_watermark = failed ? -1 : data.high_watermark;  // so that the partition is told again once it is well
    cached.log_start_offset = data.log_start_offset;
    if (has_records(fetched)) order_.splice(order_.end(), order_, found->second);
    return news;
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
    std::lock_guard guard{shard.mutex};
    shard.sessions.erase(id);
}

std::shared_ptr<FetchSession> FetchSessionCache::make(bool is_from_follower, bool uses_topic_ids,
                                                      std::size_t partitions, std::int64_t now_ms) {
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
        const auto id = static_cast<std::int32_t>(random_.next() & 0x7fffffff);
        Shard& shard = shard_of(id);
        std::lock_guard guard{shard.mutex};
        if (id == 0 || shard.slots == 0 || shard.sessions.contains(id)) continue;
        const bool is_full = shard.sessions.size() >= shard.slots;
        if (is_full && !shard.make_room(is_from_follower, partitions, now_ms)) continue;
        auto made = std::make_shared<FetchSession>(id, is_from_follower, uses_topic_ids, now_ms);
        made->cached_size_ = partitions;
        shard.sessions.emplace(id, made);
        return made;
    }
    return nullptr;
}

// A stale session goes first; else the least worth one, if the new one is worth more: followers' before consumers', the
// larger before the smaller, and only those that have had their time. (Kafka: FetchSessionCacheShard.tryEvict.)
bool FetchSessionCache::Shard::make_room(bool is_from_follower, std::size_t partitions, std::int64_t now_ms) {
    const FetchSession* oldest = nullptr;
    const FetchSession* least = nullptr;
    const auto worth = [](const FetchSession& session) {
        return std::pair{session.is_from_follower, session.cached_size_};
    };
    for (const auto& [id, session] : sessions) {
        if (oldest == nullptr || session->last_used_ms_ < oldest->last_used_ms_) oldest = session.get();
        const bool had_its_time = now_ms - session->created_ms > kEvictionMs;
        const bool may_go = had_its_time || (is_from_follower && !session->is_from_follower);
        if (may_go && (least == nullptr || worth(*session) < worth(*least))) least = session.get();
    }
    if (oldest != nullptr && now_ms - oldest->last_used_ms_ > kEvictionMs) {
        sessions.erase(oldest->id);
        return true;
    }
    if (least == nullptr || std::pair{is_from_follower, partitions} < worth(*least)) return false;
    sessions.erase(least->id);
    return true;
}

// --- one fetch

Result<FetchContext> FetchContext::open(FetchSessionCache& cache, const protocol::FetchRequest& request,
                                        std::int16_t version, std::int64_t now_ms) {
    FetchContext context{cache};
    context.uses_topic_ids_ = version >= 13;
    context.is_from_follower_ = (version >= 15 ? request.replica_state.replica_id : request.replica_id) >= 0;
    const bool is_full = request.session_epoch == kInitialEpoch || request.session_epoch == kFinalEpoch;
    if (is_full) {
        if (request.session_id != 0) cache.remove(request.session_id);
        context.kind_ = request.session_epoch == kFinalEpoch ? Kind::sessionless : Kind::full;
        context.targets_ = targets_of(request);
        return context;
    }
    context.session_ = cache.find_and_touch(request.session_id, now_ms);
    if (context.session_ == nullptr) {
        return fail(ErrorCode::fetch_session_id_not_found, "no such fetch session");
    }
    FetchSession& session = *context.session_;
    std::unique_lock guard{session.mutex_};
    if (session.epoch_ != request.session_epoch) {
        return fail(ErrorCode::invalid_fetch_session_epoch, "the fetch session is at another epoch");
    }
    if (session.uses_topic_ids != context.uses_topic_ids_) {
        return fail(ErrorCode::fetch_session_topic_id_error,
                    "the fetch session has ids or names, the request the other");
    }
    for (const FetchTarget& target : targets_of(request)) session.put(target);
    for (const auto& topic : request.forgotten_topics_data) {
        for (const std::int32_t partition : topic.partitions) {
            const auto found = session.by_key_.find({topic.topic_id, std::string{topic.topic}, partition});
            if (found == session.by_key_.end()) continue;
            session.order_.erase(found->second);
            session.by_key_.erase(found);
        }
    }
    for (const FetchSession::Cached& cached : session.order_) context.targets_.push_back(cached.target);
    if (session.order_.empty()) {  // nothing left to remember
        guard.unlock();
        cache.remove(session.id);
        return context;
    }
    session.epoch_ = next_epoch(session.epoch_);
    context.kind_ = Kind::incremental;
    context.epoch_after_ = session.epoch_;
    return context;
}

Result<std::int32_t> FetchContext::close(std::vector<FetchedPartition>& found, std::int64_t now_ms) {
    if (kind_ == Kind::sessionless) return 0;
    if (kind_ == Kind::full) {
        const auto session = cache_->make(is_from_follower_, uses_topic_ids_, found.size(), now_ms);
        if (session == nullptr) return 0;
        std::lock_guard guard{session->mutex_};
        for (const FetchedPartition& each : found) {
            session->put(each.target);
            session->is_news(each);
        }
        return session->id;
    }
    std::lock_guard guard{session_->mutex_};
    if (session_->epoch_ != epoch_after_) {
        return fail(ErrorCode::invalid_fetch_session_epoch, "the fetch session went on without this request");
    }
    std::erase_if(found, [this](const FetchedPartition& each) { return !session_->is_news(each); });
    return session_->id;
}

}  // namespace odr::server
