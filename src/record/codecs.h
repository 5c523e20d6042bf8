#pragma once

#include "record/compression.h"

// What each codec's file offers to compression.cc.
namespace odr::record::codecs {

Result<void> compress_gzip(std::int32_t level, ByteView input, std::vector<std::uint8_t>& out);
Result<void> compress_snappy(ByteView input, std::vector<std::uint8_t>& out);
Result<void> compress_lz4(std::int32_t level, ByteView input, std::vector<std::uint8_t>& out);
Result<void> compress_zstd(std::int32_t level, ByteView input, std::vector<std::uint8_t>& out);

std::unique_ptr<Decompressor> gzip_decompressor(ByteView input, std::size_t output_bytes_max);
std::unique_ptr<Decompressor> snappy_decompressor(ByteView input, std::size_t output_bytes_max);
std::unique_ptr<Decompressor> lz4_decompressor(ByteView input, std::size_t output_bytes_max);
std::unique_ptr<Decompressor> zstd_decompressor(ByteView input, std::size_t output_bytes_max);

inline std::unexpected<Error> refused_by_library() {
    return fail(ErrorCode::unknown_server_error, "the compression library refused");
}

}  // namespace odr::record::codecs
