// DescribeUserScramCredentials (key 50), version 0 (KIP-554): who has which kind of credential, never the credential.
// Way:   image -> response
// Kafka: ScramImage.describe
#include "server/handlers/describe_user_scram_credentials.h"

#include <fmt/format.h>

#include <map>

#include "server/handlers/forward.h"

namespace odr::server {
namespace {

using metadata::ScramMechanism;
using protocol::DescribeUserScramCredentialsRequest;
using protocol::DescribeUserScramCredentialsResponse;
using ScramAnswer = controller::Answer<DescribeUserScramCredentialsResponse>;

// Users to describe, and how often each was asked for.
std::map<std::string_view, int> users_of(const DescribeUserScramCredentialsRequest& request,
                                         const metadata::ScramImage& scram) {
    std::map<std::string_view, int> users;
    if (request.users && !request.users->empty()) {
        for (const auto& user : *request.users) ++users[user.name];
        return users;
    }
    const auto add = [&users](const std::string& user, const auto&) { users[user] = 1; };
    scram.scram_sha_256.for_each(add);
    scram.scram_sha_512.for_each(add);
    return users;
}

ScramAnswer handle_describe_user_scram_credentials(RequestContext& context,
                                                   const DescribeUserScramCredentialsRequest& request) {
    return answer_describe_user_scram_credentials(request, context.image().scram());
}

}  // namespace

ScramAnswer answer_describe_user_scram_credentials(const DescribeUserScramCredentialsRequest& request,
                                                   const metadata::ScramImage& scram) {
    ScramAnswer answer;
    answer.response.error_message = std::nullopt;
    for (const auto& [user, times] : users_of(request, scram)) {
        auto& result = answer.response.results.emplace_back();
        result.user = user;
        result.error_message = std::nullopt;
        if (times > 1) {
            result.error_code = code_of(ErrorCode::duplicate_resource);
            result.error_message = answer.texts.keep(
                fmt::format("Cannot describe SCRAM credentials for the same user twice in a single request: {}", user));
            continue;
        }
        for (const ScramMechanism mechanism : {ScramMechanism::scram_sha_256, ScramMechanism::scram_sha_512}) {
            if (const metadata::ScramCredentialData* found = scram.find(mechanism, user)) {
                result.credential_infos.push_back(
                    {.mechanism = static_cast<std::int8_t>(mechanism), .iterations = found->iterations});
            }
        }
        if (!result.credential_infos.empty()) continue;
        result.error_code = code_of(ErrorCode::resource_not_found);
        result.error_message =
            answer.texts.keep(fmt::format("Attempt to describe a user credential that does not exist: {}", user));
    }
    return answer;
}

io::Task<void> serve_describe_user_scram_credentials(RequestContext& context) {
    return serve<&handle_describe_user_scram_credentials>(context);
}

}  // namespace odr::server
