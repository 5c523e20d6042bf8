#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "protocol/api_keys.h"
#include "protocol/reader.h"
#include "protocol/writer.h"

namespace odr::protocol {

// The head of a request, as a view into its frame.
//
// Versions: 1 has no tagged fields, 2 has; which one stands there follows from the API key and version.
// Kafka:    RequestHeader, versions 1-2 (0 is gone with ControlledShutdown).
struct RequestHeaderView {
    std::int16_t api_key = 0;
    std::int16_t api_version = 0;
    std::int32_t correlation_id = 0;
    std::optional<std::string_view> client_id;
    const ApiInfo* api = nullptr;  // null: Kafka has no such API
    bool version_supported = false;

    friend bool operator==(const RequestHeaderView&, const RequestHeaderView&) = default;
};

// Reads the header and leaves `in` at the request's body.
// Gives:  a header with api == null or version_supported == false too: the caller decides, for ApiVersions answers even
//         versions it does not know. Of such a header client_id is read; its tagged fields, if any, are not.
// Errors: invalid_request.
Result<RequestHeaderView> decode_request_header(Reader& in);

// Writes a header for a request of ours.
void encode_request_header(Writer& out, const ApiInfo& api, std::int16_t api_version, std::int32_t correlation_id,
                           std::optional<std::string_view> client_id);

// Writes the head of the answer: header version 0 or 1 by API and version; for ApiVersions always 0.
void encode_response_header(Writer& out, const ApiInfo& api, std::int16_t api_version, std::int32_t correlation_id);

// Reads the head of an answer to a request of ours. Gives: the correlation id.
Result<std::int32_t> decode_response_header(Reader& in, const ApiInfo& api, std::int16_t api_version);

}  // namespace odr::protocol
