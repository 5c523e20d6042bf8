#include "coordinator/offset_store.h"

#include "protocol/coordinator_records.h"
#include "protocol/generated/offset_commit_key.h"
#include "protocol/generated/offset_commit_value.h"

namespace odr::coordinator {
namespace {

using protocol::OffsetCommitKey;
using protocol::OffsetCommitRequest;
using protocol::OffsetCommitResponse;
using protocol::OffsetCommitValue;
using protocol::OffsetDeleteRequest;
using protocol::OffsetDeleteResponse;
using protocol::OffsetFetchRequest;
using protocol::OffsetFetchResponse;

constexpr std::int16_t kGroupIdNotFoundFrom = 9;  // OffsetCommit
constexpr std::int64_t kDefaultRetention = -1;
constexpr std::int16_t kValueVersion = 4;            // with the topic's id (KIP-848)
constexpr std::int16_t kValueVersionWithExpiry = 1;  // the only one with an expiry of its own
constexpr std::int16_t kLegacyOffsetCommitKey = 0;   // the same body
constexpr std::string_view kExpiryTimer = "expire-group-metadata";

std::int16_t code_of(ErrorCode code) { return static_cast<std::int16_t>(code); }

// As Java counts: in UTF-16.
std::size_t utf16_length(std::string_view text) {
    std::size_t length = 0;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if ((byte & 0xC0) == 0x80) continue;
        length += byte >= 0xF0 ? 2 : 1;
    }
    return length;
}

OffsetCommitKey key_of(std::string_view group_id, std::string_view topic, std::int32_t partition) {
    return {.group = group_id, .topic = topic, .partition = partition};
}

bool are_different_topics(const Uuid& a, const Uuid& b) { return !a.is_zero() && !b.is_zero() && a != b; }

using FetchedPartition = OffsetFetchResponse::OffsetFetchResponsePartitions;
using FetchedTopic = OffsetFetchResponse::OffsetFetchResponseTopics;

FetchedPartition nothing_committed(std::int32_t partition, ErrorCode code = ErrorCode::none) {
    return {.partition_index = partition,
            .committed_offset = -1,
            .committed_leader_epoch = -1,
            .metadata = "",
            .error_code = code_of(code)};
}
FetchedPartition committed(std::int32_t partition, const CommittedOffset& offset, OffsetStore::FetchedGroup& out) {
    return {.partition_index = partition,
            .committed_offset = offset.offset,
            .committed_leader_epoch = offset.leader_epoch,
            .metadata = offset.metadata.empty() ? std::string_view{} : out.keep(offset.metadata)};
}

}  // namespace

// --- commit

Result<void> OffsetStore::validate_commit(const OffsetCommitRequest& request, const OffsetCommitter& committer) {
    Group* const group = groups_.find(request.group_id);
    if (group != nullptr) {
        ODR_CHECK(group->validate_offset_commit(committer));
        group->on_offset_commit(request.member_id);
        return {};
    }
    // Without a generation it comes from a consumer that assigns its partitions itself, or from an admin: the replay
    // makes a group for it.
    if (committer.generation_or_epoch < 0) return {};
    if (committer.api_version >= kGroupIdNotFoundFrom) return fail(ErrorCode::group_id_not_found);
    return fail(ErrorCode::illegal_generation);
}

std::optional<TimestampMs> OffsetStore::expiry_of(const OffsetCommitRequest& request, TimestampMs now) const {
    if (request.retention_time_ms == kDefaultRetention) return std::nullopt;
    return TimestampMs{now.raw() + request.retention_time_ms};
}

bool OffsetStore::is_metadata_too_large(const std::optional<std::string_view>& metadata) const {
    const auto bytes_max = static_cast<std::size_t>(context_.settings().offset_metadata_max_bytes);
    return metadata && metadata->size() > bytes_max && utf16_length(*metadata) > bytes_max;
}

Result<CoordinatorResult<OffsetCommitResponse>> OffsetStore::commit(const OffsetCommitRequest& request,
                                                                    std::int16_t version) {
    const OffsetCommitter committer{.member_id = request.member_id,
                                    .group_instance_id = request.group_instance_id,
                                    .generation_or_epoch = request.generation_id_or_member_epoch,
                                    .api_version = version};
    ODR_CHECK(validate_commit(request, committer));
    const Group* const group = groups_.find(request.group_id);
    const TimestampMs now = context_.now();
    const std::optional<TimestampMs> expiry = expiry_of(request, now);
    CoordinatorResult<OffsetCommitResponse> result;
    result.response.topics.reserve(request.topics.size());
    for (const auto& topic : request.topics) {
        auto& answer = result.response.topics.emplace_back(
            OffsetCommitResponse::OffsetCommitResponseTopic{.name = topic.name, .topic_id = topic.topic_id});
        answer.partitions.reserve(topic.partitions.size());
        for (const auto& partition : topic.partitions) {
            if (is_metadata_too_large(partition.committed_metadata)) {
                answer.partitions.push_back({.partition_index = partition.partition_index,
                                             .error_code = code_of(ErrorCode::offset_metadata_too_large)});
                continue;
            }
            if (group != nullptr) {
                ODR_CHECK(
                    group->validate_partition_commit(committer, topic.name, topic.topic_id, partition.partition_index));
            }
            answer.partitions.push_back({.partition_index = partition.partition_index});
            const OffsetCommitValue value{.offset = partition.committed_offset,
                                          .leader_epoch = partition.committed_leader_epoch,
                                          .metadata = partition.committed_metadata.value_or(std::string_view{}),
                                          .commit_timestamp = now.raw(),
                                          .expire_timestamp = expiry.value_or(kNoTimestamp).raw(),
                                          .topic_id = topic.topic_id};
            result.records.push_back(record_of(key_of(request.group_id, topic.name, partition.partition_index),
                                               expiry ? kValueVersionWithExpiry : kValueVersion, value));
        }
    }
    return result;
}

// --- fetch

Result<CoordinatorResult<OffsetStore::FetchedGroup>> OffsetStore::fetch(
    const OffsetFetchRequest::OffsetFetchRequestGroup& request, bool require_stable) const {
    CoordinatorResult<FetchedGroup> result;
    result.response.message.group_id = request.group_id;
    bool is_there = false;
    if (const Group* const group = groups_.find(request.group_id)) {
        const Result<void> valid = group->validate_offset_fetch(request.member_id, request.member_epoch);
        if (!valid && valid.error().code != ErrorCode::group_id_not_found) return fail(valid.error());
        is_there = valid.has_value();
    }
    if (request.topics) {
        add_wanted(request, require_stable, is_there, result.response);
    } else if (is_there) {
        add_all(request.group_id, require_stable, result.response);
    }
    return result;
}

void OffsetStore::add_wanted(const OffsetFetchRequest::OffsetFetchRequestGroup& request, bool require_stable,
                             bool is_there, FetchedGroup& out) const {
    for (const auto& wanted : *request.topics) {
        FetchedTopic& topic =
            out.message.topics.emplace_back(FetchedTopic{.name = wanted.name, .topic_id = wanted.topic_id});
        for (const std::int32_t index : wanted.partition_indexes) {
            const CommittedOffset* const offset = is_there ? find(request.group_id, wanted.name, index) : nullptr;
            if (require_stable && has_pending(request.group_id, wanted.name, index)) {
                topic.partitions.push_back(nothing_committed(index, ErrorCode::unstable_offset_commit));
            } else if (offset == nullptr || are_different_topics(offset->topic_id, wanted.topic_id)) {
                topic.partitions.push_back(nothing_committed(index));
            } else {
                topic.partitions.push_back(committed(index, *offset, out));
            }
        }
    }
}

void OffsetStore::add_all(std::string_view group_id, bool require_stable, FetchedGroup& out) const {
    const auto found = offsets_.find(group_id);
    if (found == offsets_.end()) return;
    for (const auto& [name, partitions] : found->second) {
        FetchedTopic& topic = out.message.topics.emplace_back(FetchedTopic{.name = out.keep(name)});
        for (const auto& [index, offset] : partitions) {
            topic.partitions.push_back(require_stable && has_pending(group_id, name, index)
                                           ? nothing_committed(index, ErrorCode::unstable_offset_commit)
                                           : committed(index, offset, out));
        }
    }
}

const CommittedOffset* OffsetStore::find_in(const Groups& offsets, std::string_view group_id, std::string_view topic,
                                            std::int32_t partition) {
    const auto group = offsets.find(group_id);
    if (group == offsets.end()) return nullptr;
    const auto partitions = group->second.find(topic);
    if (partitions == group->second.end()) return nullptr;
    const auto found = partitions->second.find(partition);
    return found == partitions->second.end() ? nullptr : &found->second;
}

const CommittedOffset* OffsetStore::find(std::string_view group_id, std::string_view topic,
                                         std::int32_t partition) const {
    return find_in(offsets_, group_id, topic, partition);
}

// visit(const Groups&) for each open transaction that has offsets of the group.
template <class Visit>
void OffsetStore::for_each_pending(std::string_view group_id, Visit&& visit) const {
    const auto open = open_transactions_.find(group_id);
    if (open == open_transactions_.end()) return;
    for (const ProducerId producer : open->second) {
        if (const auto found = pending_.find(producer); found != pending_.end()) visit(found->second);
    }
}

bool OffsetStore::has_pending(std::string_view group_id, std::string_view topic, std::int32_t partition) const {
    bool found = false;
    for_each_pending(group_id, [&](const Groups& offsets) {
        found = found || find_in(offsets, group_id, topic, partition) != nullptr;
    });
    return found;
}

// --- removal

Result<CoordinatorResult<OffsetDeleteResponse>> OffsetStore::remove(const OffsetDeleteRequest& request) const {
    const Group* const group = groups_.find(request.group_id);
    if (group == nullptr) return fail(ErrorCode::group_id_not_found);
    ODR_CHECK(group->validate_offset_delete());
    CoordinatorResult<OffsetDeleteResponse> result;
    for (const auto& topic : request.topics) {
        auto& answer =
            result.response.topics.emplace_back(OffsetDeleteResponse::OffsetDeleteResponseTopic{.name = topic.name});
        const bool is_subscribed = group->is_subscribed_to(topic.name);
        const ErrorCode code = is_subscribed ? ErrorCode::group_subscribed_to_topic : ErrorCode::none;
        for (const auto& partition : topic.partitions) {
            const std::int32_t index = partition.partition_index;
            answer.partitions.push_back({.partition_index = index, .error_code = code_of(code)});
            if (is_subscribed) continue;
            if (find(request.group_id, topic.name, index) == nullptr &&
                !has_pending(request.group_id, topic.name, index)) {
                continue;
            }
            result.records.push_back(tombstone_of(key_of(request.group_id, topic.name, index)));
        }
    }
    return result;
}

void OffsetStore::add_tombstones(std::string_view group_id, CoordinatorRecords& records) const {
    const auto add_all = [&](const Groups& offsets, bool is_pending) {
        const auto found = offsets.find(group_id);
        if (found == offsets.end()) return;
        for (const auto& [topic, partitions] : found->second) {
            for (const auto& [index, offset] : partitions) {
                if (is_pending && find(group_id, topic, index) != nullptr) continue;  // has its tombstone
                records.push_back(tombstone_of(key_of(group_id, topic, index)));
            }
        }
    };
    add_all(offsets_, false);
    for_each_pending(group_id, [&](const Groups& offsets) { add_all(offsets, true); });
}

bool OffsetStore::is_expired(const CommittedOffset& offset, const OffsetExpiration& expiration, TimestampMs now) const {
    if (offset.expire_timestamp) return now >= *offset.expire_timestamp;
    const TimestampMs since = expiration.since.value_or(offset.commit_timestamp);
    return now.raw() - since.raw() >= context_.settings().offsets_retention_ms;
}

bool OffsetStore::add_expired(const Group& group, CoordinatorRecords& records) const {
    const auto found = offsets_.find(group.id());
    if (found == offsets_.end()) return !has_open_transaction(group.id());
    const std::optional<OffsetExpiration> expiration = group.offset_expiration();
    if (!expiration) return false;
    const TimestampMs now = context_.now();
    bool none_left = true;
    for (const auto& [topic, partitions] : found->second) {
        if (group.is_subscribed_to(topic)) {
            none_left = false;
            continue;
        }
        for (const auto& [index, offset] : partitions) {
            if (is_expired(offset, *expiration, now) && !has_pending(group.id(), topic, index)) {
                records.push_back(tombstone_of(key_of(group.id(), topic, index)));
            } else {
                none_left = false;
            }
        }
    }
    return none_left && !has_open_transaction(group.id());
}

CoordinatorResult<Nothing> OffsetStore::expire() const {
    CoordinatorResult<Nothing> result;
    result.is_atomic = false;
    groups_.for_each([&](const Group& group) {
        if (add_expired(group, result.records) && group.is_empty()) group.add_tombstones(result.records);
    });
    return result;
}

void OffsetStore::schedule_expiry() {
    context_.schedule(kExpiryTimer, context_.settings().offsets_retention_check_interval_ms,
                      [this]() -> Result<CoordinatorResult<Nothing>> {
                          schedule_expiry();
                          return expire();
                      });
}

CoordinatorResult<Nothing> OffsetStore::topics_deleted(const std::unordered_map<Uuid, std::string>& topics) const {
    CoordinatorResult<Nothing> result;
    result.is_atomic = false;
    const auto add_all = [&](const Groups& groups) {
        for (const auto& [group_id, group_topics] : groups) {
            for (const auto& [id, name] : topics) {
                const auto found = group_topics.find(name);
                if (found == group_topics.end()) continue;
                for (const auto& [index, offset] : found->second) {
                    if (are_different_topics(offset.topic_id, id)) continue;  // of a later topic of that name
                    result.records.push_back(tombstone_of(key_of(group_id, name, index)));
                }
            }
        }
    };
    add_all(offsets_);
    for (const auto& [producer, groups] : pending_) add_all(groups);
    return result;
}

// --- replay

Result<bool> OffsetStore::replay(const ReplayedRecord& record) {
    if (record.key_type != OffsetCommitKey::kApiKey && record.key_type != kLegacyOffsetCommitKey) return false;
    ODR_TRY(key, protocol::decode_message<OffsetCommitKey>(record.key, 0));
    if (!record.value) {
        erase(key.group, key.topic, key.partition);
        return true;
    }
    if (record.value->version < 0 || record.value->version > OffsetCommitValue::kMaxVersion) {
        return fail(ErrorCode::unsupported_version, "an offset of a later Kafka");
    }
    ODR_TRY(value, protocol::decode_message<OffsetCommitValue>(record.value->body, record.value->version));
    CommittedOffset offset{.offset = value.offset,
                           .leader_epoch = value.leader_epoch,
                           .metadata = std::string{value.metadata},
                           .commit_timestamp = TimestampMs{value.commit_timestamp},
                           .topic_id = value.topic_id,
                           .record_offset = record.offset};
    if (value.expire_timestamp != kNoTimestamp.raw()) offset.expire_timestamp = TimestampMs{value.expire_timestamp};
    if (groups_.find(key.group) == nullptr) create_simple_(key.group);
    put_committed(key.group, key.topic, key.partition, std::move(offset), record.producer_id);
    return true;
}

void OffsetStore::put_committed(std::string_view group_id, std::string_view topic, std::int32_t partition,
                                CommittedOffset offset, ProducerId producer_id) {
    Groups& into = producer_id == kNoProducerId ? offsets_ : pending_[producer_id];
    auto group = into.find(group_id);
    if (group == into.end()) group = into.emplace(group_id, Topics{}).first;
    auto partitions = group->second.find(topic);
    if (partitions == group->second.end()) partitions = group->second.emplace(topic, Partitions{}).first;
    partitions->second.insert_or_assign(partition, std::move(offset));
    if (producer_id != kNoProducerId) open_transactions_[std::string{group_id}].insert(producer_id);
}

void OffsetStore::remove_from(Groups& offsets, std::string_view group_id, std::string_view topic,
                              std::int32_t partition) {
    const auto group = offsets.find(group_id);
    if (group == offsets.end()) return;
    const auto partitions = group->second.find(topic);
    if (partitions == group->second.end()) return;
    partitions->second.erase(partition);
    if (partitions->second.empty()) group->second.erase(partitions);
    if (group->second.empty()) offsets.erase(group);
}

// A tombstone ends what open transactions hold for the partition as well.
void OffsetStore::erase(std::string_view group_id, std::string_view topic, std::int32_t partition) {
    remove_from(offsets_, group_id, topic, partition);
    const auto open = open_transactions_.find(group_id);
    if (open == open_transactions_.end()) return;
    for (const ProducerId producer : open->second) {
        if (const auto found = pending_.find(producer); found != pending_.end()) {
            remove_from(found->second, group_id, topic, partition);
        }
    }
}

void OffsetStore::replay_end_transaction(ProducerId producer_id, bool is_commit) {
    for (auto open = open_transactions_.begin(); open != open_transactions_.end();) {
        open->second.erase(producer_id);
        open = open->second.empty() ? open_transactions_.erase(open) : std::next(open);
    }
    const auto ended = pending_.extract(producer_id);
    if (ended.empty() || !is_commit) return;
    for (const auto& [group_id, topics] : ended.mapped()) {
        for (const auto& [topic, partitions] : topics) {
            for (const auto& [index, offset] : partitions) materialise(group_id, topic, index, offset);
        }
    }
}

// What was committed without a transaction after it stays: the log's order decides, and compaction may have taken away
// either record.
void OffsetStore::materialise(std::string_view group_id, std::string_view topic, std::int32_t partition,
                              const CommittedOffset& offset) {
    const CommittedOffset* const now = find(group_id, topic, partition);
    if (now != nullptr && now->record_offset > offset.record_offset) return;
    put_committed(group_id, topic, partition, offset, kNoProducerId);
}

}  // namespace odr::coordinator
