#pragma once

#include <cstdint>
#include <string_view>

#include "metadata/image.h"
#include "protocol/generated/api_versions_response.h"

namespace odr::server {

// Whether a client may call itself this (KIP-511): letters and digits, with dots and dashes between them.
bool is_valid_software_name(std::string_view text);

// What this broker can do, on a listener of this kind. Points into the image.
protocol::ApiVersionsResponse list_api_versions(const metadata::MetadataImage& image, std::int16_t version,
                                                bool is_controller_listener);

// The answer to a version that nobody knows, to be sent in version 0: it says which versions of ApiVersions there are.
protocol::ApiVersionsResponse refuse_api_versions();

}  // namespace odr::server
