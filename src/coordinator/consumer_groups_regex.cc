// Subscriptions by regular expression (KIP-848): resolved apart from heartbeats, refreshed as topics come.
#include <fmt/format.h>

#include <limits>

#include "base/log.h"
#include "coordinator/consumer_group_records.h"
#include "coordinator/consumer_group_regex.h"
#include "coordinator/consumer_groups.h"

namespace odr::coordinator {
namespace {

constexpr std::int64_t kRefreshIntervalMinMs = 10'000;  // between two looks at all topics
constexpr std::int64_t kMetadataRefreshMs = std::numeric_limits<std::int32_t>::max();

std::string resolution_timer(std::string_view group_id) { return fmt::format("consumer-regex:{}", group_id); }

}  // namespace

Checked<ConsumerGroups::RegexChange> ConsumerGroups::update_regexes(const ConsumerGroup& group,
                                                                    const ConsumerGroupMember& before,
                                                                    const ConsumerGroupMember& after,
                                                                    CoordinatorRecords& records) {
    RegexChange change = RegexChange::none;
    bool must_refresh = false;
    const std::string_view old_regex = before.regex();
    const std::string_view new_regex = after.regex();
    if (before.subscribed_topic_regex != after.subscribed_topic_regex) {
        change = RegexChange::changed;
        if (!old_regex.empty() && group.subscribers_of(old_regex) == 1) {
            records.push_back(regex_tombstone(group.id(), old_regex));
        }
        if (!new_regex.empty() && group.subscribers_of(new_regex) == 0) {
            if (const auto error = regex_error(std::string{new_regex})) {
                return std::unexpected{
                    Refusal{.code = ErrorCode::invalid_regular_expression,
                            .message = fmt::format("SubscribedTopicRegex `{}` is not a valid regular expression: {}.",
                                                   new_regex, *error)}};
            }
            must_refresh = true;
        } else if (new_regex.empty() ? !old_regex.empty() : group.resolved(new_regex) != nullptr) {
            change = RegexChange::changed_and_resolved;
        }
    }
    if (!must_refresh && group.subscribed_regexes().empty()) return change;
    if (resolutions_.contains(group.id())) return change;
    const std::int64_t now_ms = context_.now().raw();
    const auto& resolved = group.resolved_regexes();
    const bool was_resolved = !resolved.empty();
    const std::int64_t last_ms = was_resolved ? resolved.begin()->second.timestamp_ms : 0;
    if (was_resolved && now_ms <= last_ms + kRefreshIntervalMinMs) return change;

    std::set<std::string, std::less<>> regexes;
    for (const auto& [regex, count] : group.subscribed_regexes()) {
        if (regex != old_regex || regex == new_regex || count > 1) regexes.insert(regex);
    }
    if (!new_regex.empty()) regexes.emplace(new_regex);
    must_refresh |= regexes.size() != resolved.size();
    must_refresh |= (was_resolved ? resolved.begin()->second.version : 0) < last_image_with_new_topics_;
    must_refresh |= !was_resolved || now_ms > last_ms + context_.settings().group_consumer_regex_refresh_interval_ms;
    if (must_refresh && !regexes.empty()) start_resolution(group.id(), std::move(regexes));
    return change;
}

void ConsumerGroups::start_resolution(std::string_view group_id, std::set<std::string, std::less<>> regexes) {
    const std::string id{group_id};
    resolutions_[id] = std::make_unique<RegexResolution>(regexes, context_.shared_image(), context_.now().raw());
    context_.schedule(resolution_timer(id), 0, [this, id] { return continue_resolution(id); });
}

Result<CoordinatorResult<Nothing>> ConsumerGroups::continue_resolution(const std::string& group_id) {
    const auto found = resolutions_.find(group_id);
    if (found == resolutions_.end()) return CoordinatorResult<Nothing>{};
    if (!found->second->step()) {
        context_.schedule(resolution_timer(group_id), 0, [this, group_id] { return continue_resolution(group_id); });
        return CoordinatorResult<Nothing>{};
    }
    const std::unique_ptr<RegexResolution> resolution = std::move(found->second);
    resolutions_.erase(found);
    CoordinatorResult<Nothing> result;
    result.records = take_resolution(group_id, *resolution);
    return result;
}

CoordinatorRecords ConsumerGroups::take_resolution(const std::string& group_id, RegexResolution& resolution) {
    CoordinatorRecords records;
    ConsumerGroup* const group = find(group_id);
    if (group == nullptr) return records;
    SubscribedTopics topics = group->subscribed_topics();
    bool has_changed = false;
    static const ResolvedRegex kNone;
    for (const auto& [regex, resolved] : resolution.result()) {
        if (group->subscribers_of(regex) == 0) continue;  // nobody wants it any more
        const ResolvedRegex* before = group->resolved(regex);
        if (before == nullptr) before = &kNone;
        if (before->topics != resolved.topics) {
            has_changed = true;
            for (const std::string& name : before->topics) {
                const auto counted = topics.find(name);
                if (counted == topics.end()) continue;
                if (--counted->second.by_regex <= 0 && counted->second.by_name <= 0) topics.erase(counted);
            }
            for (const std::string& name : resolved.topics) ++topics[name].by_regex;
        }
        records.push_back(regex_record(group_id, regex, resolved));
    }
    const std::int64_t hash = metadata_hash(topics);
    if (!has_changed && hash == group->metadata_hash()) return records;
    const std::int32_t epoch = group->group_epoch() + 1;
    records.push_back(epoch_record(group_id, epoch, hash));
    group->set_metadata_refresh_deadline(context_.now().raw() + kMetadataRefreshMs, epoch);
    return records;
}

}  // namespace odr::coordinator
