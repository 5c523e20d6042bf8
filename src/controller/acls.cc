#include <fmt/format.h>

#include <set>

#include "controller/operation.h"
#include "protocol/generated/access_control_entry_record.h"
#include "protocol/generated/create_acls_request.h"
#include "protocol/generated/create_acls_response.h"
#include "protocol/generated/delete_acls_request.h"
#include "protocol/generated/delete_acls_response.h"
#include "protocol/generated/remove_access_control_entry_record.h"

// CreateAcls (key 30), versions 1-3, and DeleteAcls (key 31), versions 1-3. Without an authorizer the handler says
// SECURITY_DISABLED and does not come here.
// Kafka: AclApis, AclControlManager
namespace odr::controller {
namespace {

using metadata::StandardAcl;
using protocol::CreateAclsRequest;
using protocol::DeleteAclsRequest;
using protocol::DeleteAclsResponse;
using Filter = DeleteAclsRequest::DeleteAclsFilter;

constexpr std::int8_t kUnknown = 0;
constexpr std::int8_t kAny = 1;
constexpr std::int8_t kResourceTypeMax = 7;  // USER
constexpr std::int8_t kClusterResource = 4;
constexpr std::int8_t kOperationMax = 15;  // TWO_PHASE_COMMIT
constexpr std::int8_t kPermissionMax = 3;  // ALLOW
constexpr std::int8_t kPatternMatch = 2;
constexpr std::int8_t kPatternLiteral = 3;
constexpr std::int8_t kPatternPrefixed = 4;

bool is_definite(std::int8_t value, std::int8_t max) { return value > kAny && value <= max; }
bool is_unknown(std::int8_t value, std::int8_t max) { return value <= kUnknown || value > max; }

ApiError check(const CreateAclsRequest::AclCreation& acl) {
    constexpr ErrorCode kInvalid = ErrorCode::invalid_request;
    if (acl.resource_type == kClusterResource && acl.resource_name != "kafka-cluster")
        return refuse(kInvalid, "The only valid name for the CLUSTER resource is kafka-cluster");
    if (acl.resource_name.empty()) return refuse(kInvalid, "Invalid empty resource name");
    if (!is_definite(acl.resource_type, kResourceTypeMax))
        return refuse(kInvalid, "Invalid resourceType {}", acl.resource_type);
    if (acl.resource_pattern_type != kPatternLiteral && acl.resource_pattern_type != kPatternPrefixed)
        return refuse(kInvalid, "Invalid patternType {}", acl.resource_pattern_type);
    if (!is_definite(acl.operation, kOperationMax)) return refuse(kInvalid, "Invalid operation {}", acl.operation);
    if (!is_definite(acl.permission_type, kPermissionMax))
        return refuse(kInvalid, "Invalid permissionType {}", acl.permission_type);
    return {};
}

StandardAcl to_acl(const CreateAclsRequest::AclCreation& from) {
    StandardAcl acl;
    acl.resource_type = from.resource_type;
    acl.resource_name = from.resource_name;
    acl.pattern_type = from.resource_pattern_type;
    acl.principal = from.principal;
    acl.host = from.host;
    acl.operation = from.operation;
    acl.permission_type = from.permission_type;
    return acl;
}

void add(metadata::RecordList& records, const Uuid& id, const StandardAcl& acl) {
    protocol::AccessControlEntryRecord record;
    record.id = id;
    record.resource_type = acl.resource_type;
    record.resource_name = acl.resource_name;
    record.pattern_type = acl.pattern_type;
    record.principal = acl.principal;
    record.host = acl.host;
    record.operation = acl.operation;
    record.permission_type = acl.permission_type;
    records.add(record, 0);
}

bool matches_name(const Filter& filter, const StandardAcl& acl) {
    if (!filter.resource_name_filter) return true;
    const std::string_view wanted = *filter.resource_name_filter;
    if (filter.pattern_type_filter != kPatternMatch) return wanted == acl.resource_name;
    if (acl.pattern_type == kPatternPrefixed) return wanted.starts_with(acl.resource_name);
    return wanted == acl.resource_name || acl.resource_name == "*";
}

bool matches(const Filter& filter, const StandardAcl& acl) {
    const auto is_or_any = [](std::int8_t wanted, std::int8_t value) { return wanted == kAny || wanted == value; };
    const bool pattern_type =
        filter.pattern_type_filter == kPatternMatch || is_or_any(filter.pattern_type_filter, acl.pattern_type);
    return is_or_any(filter.resource_type_filter, acl.resource_type) && pattern_type && matches_name(filter, acl) &&
           (!filter.principal_filter || *filter.principal_filter == acl.principal) &&
           (!filter.host_filter || *filter.host_filter == acl.host) && is_or_any(filter.operation, acl.operation) &&
           is_or_any(filter.permission_type, acl.permission_type);
}

ApiError check(const Filter& filter) {
    if (is_unknown(filter.resource_type_filter, kResourceTypeMax) ||
        is_unknown(filter.pattern_type_filter, kPatternPrefixed))
        return refuse(ErrorCode::invalid_request, "Unknown patternFilter.");
    if (is_unknown(filter.operation, kOperationMax) || is_unknown(filter.permission_type, kPermissionMax))
        return refuse(ErrorCode::invalid_request, "Unknown entryFilter.");
    return {};
}

}  // namespace

Result<Outcome<protocol::CreateAclsResponse>> perform(State& state, const RequestContext&,
                                                      const CreateAclsRequest& request) {
    if (request.creations.size() > kRecordsPerBatchMax)
        return fail(ErrorCode::policy_violation, "Unable to perform excessively large batch operation.");
    Outcome<protocol::CreateAclsResponse> outcome;
    std::set<StandardAcl> existing;
    state.image().acls().acls.for_each([&](const Uuid&, const auto& acl) { existing.insert(*acl); });
    for (const auto& creation : request.creations) {
        auto& result = outcome.answer.response.results.emplace_back();
        const ApiError error = check(creation);
        set_error(result, outcome.answer.texts, error);
        if (error.failed()) continue;
        const StandardAcl acl = to_acl(creation);
        if (existing.insert(acl).second) add(outcome.records, state.random.uuid(), acl);
    }
    return outcome;
}

Result<Outcome<DeleteAclsResponse>> perform(State& state, const RequestContext&, const DeleteAclsRequest& request) {
    Outcome<DeleteAclsResponse> outcome;
    auto& texts = outcome.answer.texts;
    std::set<Uuid> removed;
    for (const Filter& filter : request.filters) {
        auto& result = outcome.answer.response.filter_results.emplace_back();
        const ApiError error = check(filter);
        set_error(result, texts, error);
        if (error.failed()) continue;
        state.image().acls().acls.for_each([&](const Uuid& id, const auto& acl) {
            if (!matches(filter, *acl)) return;
            auto& match = result.matching_acls.emplace_back();
            match.error_message = std::nullopt;
            match.resource_type = acl->resource_type;
            match.resource_name = texts.keep(acl->resource_name);
            match.pattern_type = acl->pattern_type;
            match.principal = texts.keep(acl->principal);
            match.host = texts.keep(acl->host);
            match.operation = acl->operation;
            match.permission_type = acl->permission_type;
            if (removed.insert(id).second) outcome.records.add(protocol::RemoveAccessControlEntryRecord{.id = id}, 0);
        });
    }
    if (removed.size() > kRecordsPerBatchMax)
        return fail(ErrorCode::policy_violation, "Cannot remove more than 10000 acls in a single delete operation.");
    return outcome;
}

}  // namespace odr::controller
