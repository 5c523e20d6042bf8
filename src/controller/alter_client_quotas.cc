#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <map>
#include <set>

#include "base/config/endpoint.h"
#include "base/config/keys.h"
#include "controller/operation.h"
#include "protocol/generated/alter_client_quotas_request.h"
#include "protocol/generated/alter_client_quotas_response.h"
#include "protocol/generated/client_quota_record.h"

// AlterClientQuotas (key 49), versions 0-1.
// Kafka: ClientQuotaControlManager
namespace odr::controller {
namespace {

using metadata::ClientQuotaEntity;
using protocol::AlterClientQuotasRequest;
using protocol::ClientQuotaRecord;
using Entry = AlterClientQuotasRequest::EntryData;
constexpr ErrorCode kInvalid = ErrorCode::invalid_request;

ApiError read_entity(const Entry& entry, ClientQuotaEntity& entity) {
    if (entry.entity.empty()) return refuse(kInvalid, "Invalid empty client quota entity");
    for (const auto& part : entry.entity) {
        if (part.entity_type != "user" && part.entity_type != "client-id" && part.entity_type != "ip")
            return refuse(kInvalid, "Unhandled client quota entity type: {}", part.entity_type);
        if (part.entity_name && part.entity_name->empty())
            return refuse(kInvalid, "Empty {} not supported", part.entity_type);
        std::optional<std::string> name;
        if (part.entity_name) name = std::string{*part.entity_name};
        if (!entity.emplace(std::string{part.entity_type}, std::move(name)).second)
            return refuse(kInvalid, "Invalid client quota entity, duplicate entity entry {}", part.entity_type);
    }
    return {};
}

// Kafka also resolves host names. A name server must not decide what stands in the metadata log: addresses only.
bool is_address(const std::optional<std::string>& ip) { return !ip || config::is_ipv4(*ip) || config::is_ipv6(*ip); }

ApiError find_keys(const ClientQuotaEntity& entity, config::KeySet& keys) {
    const auto ip = entity.find("ip");
    keys = config::KeySet::user_quota;
    if (ip == entity.end()) return {};
    if (entity.size() > 1)
        return refuse(kInvalid,
                      "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId");
    if (!is_address(ip->second)) return refuse(kInvalid, "{} is not a valid IP or resolvable host.", *ip->second);
    keys = config::KeySet::ip_quota;
    return {};
}

ApiError check_integral(std::string_view key, double value, double max, std::string_view type) {
    if (value > max) return refuse(kInvalid, "Proposed value for {} is too large for {}.", key, type);
    if (std::abs(std::fmod(value, 1.0)) > 1e-6) return refuse(kInvalid, "{} cannot be a fractional value.", key);
    return {};
}

ApiError check_value(config::KeySet keys, std::string_view name, double value) {
    // The set holds SCRAM settings too, which are no quotas.
    const config::KeyDef* key = name.starts_with("SCRAM-") ? nullptr : config::find_key(keys, name);
    if (key == nullptr) return refuse(kInvalid, "Invalid configuration key {}", name);
    if (!(value > 0.0)) return refuse(kInvalid, "Quota {} must be greater than 0", name);
    switch (key->type) {
        case config::KeyType::float64:
            return {};
        case config::KeyType::int16:
            return check_integral(name, value, std::numeric_limits<std::int16_t>::max(), "a SHORT");
        case config::KeyType::int32:
            return check_integral(name, value, std::numeric_limits<std::int32_t>::max(), "an INT");
        case config::KeyType::int64:
            return check_integral(name, value, static_cast<double>(std::numeric_limits<std::int64_t>::max()), "a LONG");
        case config::KeyType::unknown:
        case config::KeyType::boolean:
        case config::KeyType::string:
        case config::KeyType::list:
        case config::KeyType::class_name:
        case config::KeyType::password:
            break;
    }
    return refuse(ErrorCode::unknown_server_error, "Unexpected config type of {}", name);
}

ClientQuotaRecord make_record(const ClientQuotaEntity& entity, std::string_view key) {
    ClientQuotaRecord record;
    record.key = key;
    for (const auto& [type, name] : entity) {
        auto& part = record.entity.emplace_back();
        part.entity_type = type;
        part.entity_name = std::nullopt;
        if (name) part.entity_name = *name;
    }
    return record;
}

ApiError alter(const State& state, const Entry& entry, std::set<ClientQuotaEntity>& seen,
               metadata::RecordList& records) {
    ClientQuotaEntity entity;
    if (ApiError error = read_entity(entry, entity); error.failed()) return error;
    if (!seen.insert(entity).second) return refuse(kInvalid, "Ignoring duplicate entity");
    config::KeySet keys{};
    if (ApiError error = find_keys(entity, keys); error.failed()) return error;
    const auto* found = state.image().client_quotas().entities.find(entity);
    static const metadata::ClientQuotas kNone;
    const metadata::ClientQuotas& current = found == nullptr ? kNone : **found;
    metadata::RecordList added;
    std::set<std::string_view> names;
    for (const auto& op : entry.ops) {
        if (!names.insert(op.key).second) return refuse(kInvalid, "Duplicate quota key {}", op.key);
        const auto before = current.find(op.key);
        ClientQuotaRecord record = make_record(entity, op.key);
        if (op.remove) {
            record.remove = true;
            if (before != current.end()) added.add(record, 0);
            continue;
        }
        if (ApiError error = check_value(keys, op.key, op.value); error.failed()) return error;
        record.value = op.value;
        if (before == current.end() || before->second != op.value) added.add(record, 0);
    }
    for (std::size_t i = 0; i < added.size(); ++i) records.add_framed(added[i]);
    return {};
}

}  // namespace

Result<Outcome<protocol::AlterClientQuotasResponse>> perform(State& state, const RequestContext&,
                                                             const AlterClientQuotasRequest& request) {
    Outcome<protocol::AlterClientQuotasResponse> outcome;
    std::set<ClientQuotaEntity> seen;
    for (const Entry& entry : request.entries) {
        auto& result = outcome.answer.response.entries.emplace_back();
        for (const auto& part : entry.entity) result.entity.push_back({part.entity_type, part.entity_name});
        set_error(result, outcome.answer.texts, alter(state, entry, seen, outcome.records));
    }
    if (request.validate_only) outcome.records.clear();
    return outcome;
}

}  // namespace odr::controller
