#include "protocol/headers.h"

namespace odr::protocol {

Result<RequestHeaderView> decode_request_header(Reader& in) {
    RequestHeaderView header;
    const std::uint8_t* at = in.take(8, "request header: cut short");
    if (at == nullptr) [[unlikely]]
        return std::unexpected{in.result().error()};
    header.api_key = load_next<std::int16_t>(at);
    header.api_version = load_next<std::int16_t>(at);
    header.correlation_id = load_next<std::int32_t>(at);
    // The client id keeps its two bytes of length in version 2: old brokers must be able to read the header of any
    // ApiVersions request.
    header.client_id = in.nullable_string(false, true, "request header: invalid client id");
    header.api = find_api(header.api_key);
    header.version_supported = header.api != nullptr && header.api->has_version(header.api_version);
    if (header.version_supported && header.api->request_header_version(header.api_version) >= 2)
        in.skip_tagged_fields();
    if (in.failed()) [[unlikely]]
        return std::unexpected{in.result().error()};
    return header;
}

void encode_request_header(Writer& out, const ApiInfo& api, std::int16_t api_version, std::int32_t correlation_id,
                           std::optional<std::string_view> client_id) {
    out.fixed(static_cast<std::int16_t>(api.key));
    out.fixed(api_version);
    out.fixed(correlation_id);
    out.nullable_string(client_id, false, true);
    if (api.request_header_version(api_version) >= 2) out.unsigned_varint(0);
}

void encode_response_header(Writer& out, const ApiInfo& api, std::int16_t api_version, std::int32_t correlation_id) {
    out.fixed(correlation_id);
    if (api.response_header_version(api_version) >= 1) out.unsigned_varint(0);
}

Result<std::int32_t> decode_response_header(Reader& in, const ApiInfo& api, std::int16_t api_version) {
    const auto correlation_id = in.fixed<std::int32_t>("response header: cut short");
    if (api.response_header_version(api_version) >= 1) in.skip_tagged_fields();
    if (in.failed()) [[unlikely]]
        return std::unexpected{in.result().error()};
    return correlation_id;
}

}  // namespace odr::protocol
