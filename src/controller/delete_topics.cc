#include <fmt/format.h>

#include <unordered_map>
#include <unordered_set>

#include "controller/operation.h"
#include "protocol/generated/delete_topics_request.h"
#include "protocol/generated/delete_topics_response.h"
#include "protocol/generated/remove_topic_record.h"

// DeleteTopics (key 20), versions 1-6. A topic's settings go with its RemoveTopicRecord.
// Kafka: ControllerApis.deleteTopics, ReplicationControlManager.deleteTopics
namespace odr::controller {
namespace {

using protocol::DeleteTopicsRequest;
using protocol::DeleteTopicsResponse;

struct Wanted {
    std::optional<std::string_view> name;
    Uuid id;
};

std::vector<Wanted> topics_of(const DeleteTopicsRequest& request) {
    std::vector<Wanted> all;
    for (const std::string_view name : request.topic_names) all.push_back({name, {}});
    for (const auto& topic : request.topics) all.push_back({topic.name, topic.topic_id});
    return all;
}

class Deletion {
public:
    Deletion(const State& state, Outcome<DeleteTopicsResponse>& outcome) : state_{state}, outcome_{outcome} {}

    void run(const std::vector<Wanted>& wanted) {
        for (const Wanted& topic : wanted) {
            if (topic.name) ++names_[*topic.name];
            if (!topic.id.is_zero()) ++ids_[topic.id];
        }
        for (const Wanted& topic : wanted) {
            if (topic.name && topic.id.is_zero()) by_name(*topic.name);
            if (!topic.name && !topic.id.is_zero()) by_id(topic.id);
            if (topic.name && !topic.id.is_zero())
                answer(topic.name, topic.id,
                       refuse(ErrorCode::invalid_request, "You may not specify both topic name and topic id."));
            if (!topic.name && topic.id.is_zero())
                answer(std::nullopt, {},
                       refuse(ErrorCode::invalid_request, "Neither topic name nor id were specified."));
        }
    }

private:
    void by_name(std::string_view name) {
        if (!answered_names_.insert(name).second) return;
        if (names_[name] > 1) return answer(name, {}, refuse(ErrorCode::invalid_request, "Duplicate topic name."));
        const metadata::TopicImage* topic = state_.image().topics().find(name);
        if (topic == nullptr) return answer(name, {}, {ErrorCode::unknown_topic_or_partition});
        if (ids_.contains(topic->id))
            return answer(
                name, topic->id,
                refuse(ErrorCode::invalid_request, "The provided topic name maps to an ID that was already supplied."));
        remove(*topic, name);
    }

    void by_id(const Uuid& id) {
        if (!answered_ids_.insert(id).second) return;
        if (ids_[id] > 1) return answer(std::nullopt, id, refuse(ErrorCode::invalid_request, "Duplicate topic id."));
        const metadata::TopicImage* topic = state_.image().topics().find(id);
        if (topic == nullptr) return answer(std::nullopt, id, {ErrorCode::unknown_topic_id});
        if (names_.contains(topic->name)) return;  // the name's answer speaks for both, and nothing is deleted
        remove(*topic, outcome_.answer.texts.keep(topic->name));
    }

    void remove(const metadata::TopicImage& topic, std::string_view name) {
        outcome_.records.add(protocol::RemoveTopicRecord{.topic_id = topic.id}, 0);
        answer(name, topic.id, {});
    }

    void answer(std::optional<std::string_view> name, const Uuid& id, const ApiError& error) {
        auto& result = outcome_.answer.response.responses.emplace_back();
        result.name = name;
        result.topic_id = id;
        set_error(result, outcome_.answer.texts, error);
    }

    const State& state_;
    Outcome<DeleteTopicsResponse>& outcome_;
    std::unordered_map<std::string_view, int> names_;
    std::unordered_map<Uuid, int> ids_;
    std::unordered_set<std::string_view> answered_names_;
    std::unordered_set<Uuid> answered_ids_;
};

}  // namespace

Result<Outcome<DeleteTopicsResponse>> perform(State& state, const RequestContext& context,
                                              const DeleteTopicsRequest& request) {
    if (!state.config().limits().delete_topic_enable) {
        if (context.api_version < 3) return fail(ErrorCode::invalid_request, "Topic deletion is disabled.");
        return fail(ErrorCode::topic_deletion_disabled);
    }
    Outcome<DeleteTopicsResponse> outcome;
    Deletion{state, outcome}.run(topics_of(request));
    return outcome;
}

}  // namespace odr::controller
