#include "record/compression.h"

#include "base/assert.h"
#include "record/codecs.h"

namespace odr::record {

namespace {

class PlainBytes final : public Decompressor {
public:
    PlainBytes(ByteView input, std::size_t output_bytes_max) : Decompressor{output_bytes_max}, rest_{input} {}

private:
    Result<ByteView> produce() override { return std::exchange(rest_, {}); }

    ByteView rest_;
};

}  // namespace

Compression Compression::of(CompressionType type) { return {.type = type, .level = default_level(type)}; }

std::int32_t default_level(CompressionType type) {
    switch (type) {
        case CompressionType::gzip:
            return -1;
        case CompressionType::lz4:
            return 9;
        case CompressionType::zstd:
            return 3;
        case CompressionType::none:
        case CompressionType::snappy:
            return 0;
    }
    return 0;
}

bool is_valid_level(CompressionType type, std::int32_t level) {
    switch (type) {
        case CompressionType::gzip:
            return level == -1 || (level >= 1 && level <= 9);
        case CompressionType::lz4:
            return level >= 1 && level <= 17;
        case CompressionType::zstd:
            return level >= -131072 && level <= 22;
        case CompressionType::none:
        case CompressionType::snappy:
            return true;
    }
    return false;
}

Result<void> compress(Compression how, ByteView input, std::vector<std::uint8_t>& out) {
    ODR_ASSERT(is_known(how.type) && is_valid_level(how.type, how.level), "type={} level={}",
               static_cast<int>(how.type), how.level);
    const std::size_t before = out.size();
    Result<void> done;
    switch (how.type) {
        case CompressionType::none:
            out.insert(out.end(), input.begin(), input.end());
            break;
        case CompressionType::gzip:
            done = codecs::compress_gzip(how.level, input, out);
            break;
        case CompressionType::snappy:
            done = codecs::compress_snappy(input, out);
            break;
        case CompressionType::lz4:
            done = codecs::compress_lz4(how.level, input, out);
            break;
        case CompressionType::zstd:
            done = codecs::compress_zstd(how.level, input, out);
            break;
    }
    if (!done) out.resize(before);
    return done;
}

Result<ByteView> Decompressor::next() {
    auto chunk = produce();
    if (!chunk) return chunk;
    produced_ += chunk->size();
    if (produced_ > output_bytes_max_) {
        return fail(ErrorCode::message_too_large, "compressed records unpack to more than the limit");
    }
    return chunk;
}

Result<std::unique_ptr<Decompressor>> make_decompressor(CompressionType type, ByteView input,
                                                        std::size_t output_bytes_max) {
    switch (type) {
        case CompressionType::none:
            return std::make_unique<PlainBytes>(input, output_bytes_max);
        case CompressionType::gzip:
            return codecs::gzip_decompressor(input, output_bytes_max);
        case CompressionType::snappy:
            return codecs::snappy_decompressor(input, output_bytes_max);
        case CompressionType::lz4:
            return codecs::lz4_decompressor(input, output_bytes_max);
        case CompressionType::zstd:
            return codecs::zstd_decompressor(input, output_bytes_max);
    }
    return fail(ErrorCode::unsupported_compression_type, "the codec of a batch is unknown");
}

Result<void> decompress(CompressionType type, ByteView input, std::size_t output_bytes_max,
                        std::vector<std::uint8_t>& out) {
    ODR_TRY(source, make_decompressor(type, input, output_bytes_max));
    for (;;) {
        ODR_TRY(chunk, source->next());
        if (chunk.empty()) return {};
        out.insert(out.end(), chunk.begin(), chunk.end());
    }
}

}  // namespace odr::record
