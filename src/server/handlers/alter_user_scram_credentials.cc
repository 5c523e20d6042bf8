// AlterUserScramCredentials (key 51), version 0.
// Way:   controller -> response
// Kafka: ControllerApis.handleAlterUserScramCredentials
#include <set>

#include "protocol/generated/alter_user_scram_credentials_request.h"
#include "protocol/generated/alter_user_scram_credentials_response.h"
#include "server/handlers/forward.h"

namespace odr::server {
namespace {

using protocol::AlterUserScramCredentialsRequest;
using protocol::AlterUserScramCredentialsResponse;

AlterUserScramCredentialsResponse refuse(const AlterUserScramCredentialsRequest& request, const Error& error) {
    std::set<std::string_view> users;
    for (const auto& deletion : request.deletions) users.insert(deletion.name);
    for (const auto& upsertion : request.upsertions) users.insert(upsertion.name);
    AlterUserScramCredentialsResponse response;
    for (const std::string_view user : users) {
        response.results.push_back(
            {.user = user, .error_code = code_of(error.code), .error_message = message_of(error)});
    }
    return response;
}

}  // namespace

io::Task<void> serve_alter_user_scram_credentials(RequestContext& context) { return serve_forwarded<&refuse>(context); }

}  // namespace odr::server
