#include "base/config/alter.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

namespace odr::config {
namespace {

using Refused = std::optional<Refusal>;

Refusal bad_request(std::string message) { return {.message = std::move(message), .invalid_request = true}; }

bool is_list(KeySet set, std::string_view name) {
    const KeyDef* key = set == KeySet::broker ? find_broker_key(name) : find_key(set, name);
    return key != nullptr && key->type == KeyType::list;
}

// The list that APPEND and SUBTRACT start from: the resource's own value, else the key's default.
std::vector<std::string> starting_list(KeySet set, const ConfigMap& settings, const std::string& name) {
    if (const auto own = settings.find(name); own != settings.end()) return split_list(own->second);
    const KeyDef* key = set == KeySet::broker ? find_broker_key(name) : find_key(set, name);
    return key->default_value ? split_list(*key->default_value) : std::vector<std::string>{};
}

std::string changed_list(std::vector<std::string> list, AlterOp op, std::string_view value) {
    for (const std::string& element : split_list(value)) {
        const auto found = std::ranges::find(list, element);
        if (op == AlterOp::subtract && found != list.end()) list.erase(found);
        if (op == AlterOp::append && found == list.end()) list.push_back(element);
    }
    return fmt::format("{}", fmt::join(list, ","));
}

Refused check_request(const std::vector<Alteration>& alterations) {
    std::set<std::string_view> names;
    std::vector<std::string_view> nulls;
    for (const Alteration& alteration : alterations) {
        if (!names.insert(alteration.name).second) return bad_request("Error due to duplicate config keys");
        if (alteration.op != AlterOp::remove && !alteration.value) nulls.push_back(alteration.name);
    }
    if (!nulls.empty()) return bad_request(fmt::format("Null value not supported for : {}", fmt::join(nulls, ", ")));
    return std::nullopt;
}

Refused refuse_names(const std::vector<std::string_view>& names, std::string_view why) {
    if (names.empty()) return std::nullopt;
    return bad_request(fmt::format("{}: [{}]", why, fmt::join(names, ", ")));
}

template <class Test>
std::vector<std::string_view> names_where(const ConfigMap& settings, Test test) {
    std::vector<std::string_view> out;
    for (const auto& [name, value] : settings) {
        if (test(name)) out.push_back(name);
    }
    return out;
}

bool is_read_only(std::string_view name) {
    const KeyDef* key = find_key(KeySet::broker, name);
    return key != nullptr && key->update_mode == UpdateMode::read_only;
}

bool is_for_one_broker(std::string_view name) {
    if (const auto scoped = split_listener_key(name)) return !is_cluster_level_listener_key(scoped->rest);
    const KeyDef* key = find_key(KeySet::broker, name);
    return key != nullptr && key->update_mode == UpdateMode::per_broker;
}

// Kafka parses what follows the listener, so a key with a mechanism in it counts as unknown and passes.
Refused check_values(const ConfigMap& settings) {
    for (const auto& [name, value] : settings) {
        const KeyDef* key = find_broker_key(name);
        if (key == nullptr) continue;
        if (const auto checked = check_value(*key, value); !checked) return bad_request(checked.error());
    }
    return std::nullopt;
}

// A pool may at most double or halve at once.
Refused check_thread_counts(const BrokerConfig& before, const BrokerConfig& after) {
    constexpr std::array<std::string_view, 5> kPools{"num.io.threads", "num.network.threads", "num.replica.fetchers",
                                                     "num.recovery.threads.per.data.dir", "background.threads"};
    for (const std::string_view pool : kPools) {
        const std::int32_t old_count = before.get_int(pool);
        const std::int64_t count = after.get_int(pool);
        const std::string head = fmt::format("Dynamic thread count update validation failed for {}={}", pool, count);
        if (count < old_count / 2)
            return bad_request(fmt::format("{}, value should be at least half the current value {}", head, old_count));
        if (count > std::int64_t{old_count} * 2) {
            return bad_request(
                fmt::format("{}, value should not be greater than double the current value {}", head, old_count));
        }
    }
    const std::int32_t cleaners = before.get_int("log.cleaner.threads");
    const std::int64_t count = after.get_int("log.cleaner.threads");
    if (count < cleaners / 2) {
        return bad_request(
            fmt::format("Log cleaner threads cannot be reduced to less than half the current value {}", cleaners));
    }
    if (count > std::int64_t{cleaners} * 2) {
        return bad_request(
            fmt::format("Log cleaner threads cannot be increased to more than double the current value {}", cleaners));
    }
    return std::nullopt;
}

}  // namespace

std::expected<ConfigMap, Refusal> apply_alterations(KeySet set, const ConfigMap& current,
                                                    const std::vector<Alteration>& alterations) {
    if (auto refused = check_request(alterations)) return std::unexpected{std::move(*refused)};
    ConfigMap out = current;
    for (const Alteration& alteration : alterations) {
        switch (alteration.op) {
            case AlterOp::set:
                out.insert_or_assign(alteration.name, *alteration.value);
                break;
            case AlterOp::remove:
                out.erase(alteration.name);
                break;
            case AlterOp::append:
            case AlterOp::subtract: {
                if (!is_list(set, alteration.name)) {
                    const std::string_view verb = alteration.op == AlterOp::append ? "APPEND" : "SUBTRACT";
                    return std::unexpected{
                        Refusal{.message = fmt::format("Can't {} to key {} because its type is not LIST.", verb,
                                                       alteration.name)}};
                }
                out.insert_or_assign(alteration.name, changed_list(starting_list(set, current, alteration.name),
                                                                   alteration.op, *alteration.value));
                break;
            }
        }
    }
    return out;
}

std::optional<Refusal> check_broker_settings(const BrokerConfig& started, const BrokerConfig& current,
                                             const ConfigMap& cluster_default, const ConfigMap& broker,
                                             bool per_broker) {
    const ConfigMap& altered = per_broker ? broker : cluster_default;
    if (auto refused = refuse_names(names_where(altered, is_read_only), "Cannot update these configs dynamically")) {
        return refused;
    }
    if (auto refused = refuse_names(
            names_where(altered, is_dynamic_security_key),
            "These security configs can be dynamically updated only per-listener using the listener prefix")) {
        return refused;
    }
    if (auto refused = check_values(altered)) return refused;
    if (!per_broker) {
        if (auto refused =
                refuse_names(names_where(altered, is_for_one_broker),
                             "Cannot update these configs at default cluster level, broker id must be specified")) {
            return refused;
        }
    }
    const auto after = started.with_dynamic(cluster_default, broker);
    if (!after) return bad_request(after.error());
    return check_thread_counts(current, *after);
}

}  // namespace odr::config
