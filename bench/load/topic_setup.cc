// What every command does before and after its load.
#include <fmt/core.h>
#include <unistd.h>

#include "base/clock.h"
#include "load/commands.h"

namespace odr::bench {

std::string own_topic_name(const Common& common) {
    if (!common.topic.empty()) return common.topic;
    return fmt::format("load-{}-{}", ::getpid(), system_clock().now().raw());
}

Result<TopicTarget> set_up_topic(const Common& common, std::int32_t partitions) {
    if (common.is_floor) return TopicTarget{.name = "floor", .id = {}, .partitions = partitions};
    ODR_TRY(client, Client::connect(common.broker));
    return make_topic(client, own_topic_name(common), partitions, common.topic_configs);
}

void tear_down_topic(const Common& common, const TopicTarget& topic) {
    if (common.is_floor || common.keep_topic) return;
    auto client = Client::connect(common.broker);
    if (client) static_cast<void>(delete_topic(*client, topic.name));
}

}  // namespace odr::bench
