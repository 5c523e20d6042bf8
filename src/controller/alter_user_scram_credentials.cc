#include <fmt/format.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <map>
#include <set>

#include "controller/operation.h"
#include "protocol/generated/alter_user_scram_credentials_request.h"
#include "protocol/generated/alter_user_scram_credentials_response.h"
#include "protocol/generated/remove_user_scram_credential_record.h"
#include "protocol/generated/user_scram_credential_record.h"

// AlterUserScramCredentials (key 51), version 0. The client has salted the password; the log gets what a server needs
// to check it (RFC 5802): the hash of the client key, and the server key.
// Kafka: ScramControlManager
namespace odr::controller {
namespace {

using metadata::ScramMechanism;
using protocol::AlterUserScramCredentialsRequest;
using Bytes = std::vector<std::uint8_t>;

constexpr std::int32_t kIterationsMin = 4'096;
constexpr std::int32_t kIterationsMax = 16'384;

ScramMechanism mechanism_of(std::int8_t raw) {
    if (raw == 1) return ScramMechanism::scram_sha_256;
    if (raw == 2) return ScramMechanism::scram_sha_512;
    return ScramMechanism::unknown;
}
const EVP_MD* digest_of(ScramMechanism mechanism) {
    return mechanism == ScramMechanism::scram_sha_256 ? EVP_sha256() : EVP_sha512();
}

Bytes hmac(const EVP_MD* digest, ByteView key, std::string_view text) {
    Bytes out(EVP_MAX_MD_SIZE);
    unsigned size = 0;
    const ByteView message = as_bytes(text);
    HMAC(digest, key.data(), static_cast<int>(key.size()), message.data(), message.size(), out.data(), &size);
    out.resize(size);
    return out;
}

Bytes hash(const EVP_MD* digest, const Bytes& input) {
    Bytes out(EVP_MAX_MD_SIZE);
    unsigned size = 0;
    EVP_Digest(input.data(), input.size(), out.data(), &size, digest, nullptr);
    out.resize(size);
    return out;
}

ApiError check_user(const State& state, std::string_view user, ScramMechanism mechanism) {
    if (!state.metadata_version().is_scram_supported())
        return refuse(ErrorCode::unsupported_version, "The current metadata.version does not support SCRAM");
    if (user.empty()) return refuse(ErrorCode::unacceptable_credential, "Username must not be empty");
    if (mechanism == ScramMechanism::unknown)
        return refuse(ErrorCode::unsupported_sasl_mechanism, "Unknown SCRAM mechanism");
    return {};
}

ApiError remove(const State& state, const AlterUserScramCredentialsRequest::ScramCredentialDeletion& deletion,
                metadata::RecordList& records) {
    const ScramMechanism mechanism = mechanism_of(deletion.mechanism);
    if (ApiError error = check_user(state, deletion.name, mechanism); error.failed()) return error;
    if (state.image().scram().find(mechanism, deletion.name) == nullptr)
        return refuse(ErrorCode::resource_not_found, "Attempt to delete a user credential that does not exist");
    protocol::RemoveUserScramCredentialRecord record;
    record.name = deletion.name;
    record.mechanism = deletion.mechanism;
    records.add(record, 0);
    return {};
}

ApiError upsert(const State& state, const AlterUserScramCredentialsRequest::ScramCredentialUpsertion& upsertion,
                metadata::RecordList& records) {
    const ScramMechanism mechanism = mechanism_of(upsertion.mechanism);
    if (ApiError error = check_user(state, upsertion.name, mechanism); error.failed()) return error;
    if (upsertion.iterations < kIterationsMin) return refuse(ErrorCode::unacceptable_credential, "Too few iterations");
    if (upsertion.iterations > kIterationsMax) return refuse(ErrorCode::unacceptable_credential, "Too many iterations");
    const EVP_MD* digest = digest_of(mechanism);
    const Bytes stored_key = hash(digest, hmac(digest, upsertion.salted_password, "Client Key"));
    const Bytes server_key = hmac(digest, upsertion.salted_password, "Server Key");
    protocol::UserScramCredentialRecord record;
    record.name = upsertion.name;
    record.mechanism = upsertion.mechanism;
    record.salt = upsertion.salt;
    record.stored_key = stored_key;
    record.server_key = server_key;
    record.iterations = upsertion.iterations;
    records.add(record, 0);
    return {};
}

}  // namespace

Result<Outcome<protocol::AlterUserScramCredentialsResponse>> perform(State& state, const RequestContext&,
                                                                     const AlterUserScramCredentialsRequest& request) {
    Outcome<protocol::AlterUserScramCredentialsResponse> outcome;
    std::map<std::string_view, int> seen;
    for (const auto& deletion : request.deletions) ++seen[deletion.name];
    for (const auto& upsertion : request.upsertions) ++seen[upsertion.name];
    std::set<std::string_view> answered;
    const auto answer = [&](std::string_view user, const auto& alter) {
        if (!answered.insert(user).second) return;
        auto& result = outcome.answer.response.results.emplace_back();
        result.user = user;
        set_error(result, outcome.answer.texts,
                  seen[user] > 1 ? refuse(ErrorCode::duplicate_resource,
                                          "A user credential cannot be altered twice in the same request")
                                 : alter());
    };
    for (const auto& deletion : request.deletions)
        answer(deletion.name, [&] { return remove(state, deletion, outcome.records); });
    for (const auto& upsertion : request.upsertions)
        answer(upsertion.name, [&] { return upsert(state, upsertion, outcome.records); });
    return outcome;
}

}  // namespace odr::controller
