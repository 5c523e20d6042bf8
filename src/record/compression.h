#pragma once

#include <memory>
#include <vector>

#include "record/record_batch.h"

namespace odr::record {

// A codec and how hard it tries, as compression.type and compression.{gzip,lz4,zstd}.level say (KIP-390).
struct Compression {
    CompressionType type = CompressionType::none;
    std::int32_t level = 0;  // see is_valid_level; none and snappy have no levels

    static Compression of(CompressionType type);  // at Kafka's default level
};

// Gives: gzip -1 (zlib's own choice), lz4 9 (which means the fast compressor), zstd 3; 0 for the others.
std::int32_t default_level(CompressionType type);
// gzip 1..9 and -1, lz4 1..17, zstd -131072..22; anything for none and snappy.
bool is_valid_level(CompressionType type, std::int32_t level);

// Compresses the records of a batch into the stream Kafka's clients read: a gzip member, the xerial framing of snappy
// with blocks of 32 KiB, an LZ4 frame of independent blocks of 64 KiB, a zstd frame.
//
// Needs:  a known type and a valid level.
// Gives:  the stream, appended to `out`.
// Errors: unknown_server_error where the library refuses; `out` is then as it was.
Result<void> compress(Compression how, ByteView input, std::vector<std::uint8_t>& out);

// Undoes compress(), chunk by chunk: whoever walks the chunks holds one of them at a time, whatever the stream claims.
// Memory is bounded by the format: a chunk of 128 KiB, an LZ4 block of at most 4 MiB, a snappy block (never more than
// 22 times its compressed size), a zstd window of at most 128 MiB, of which only what was produced is ever touched.
//
// Owner:    the caller; the compressed bytes must outlive it.
// Threads:  one at a time. Contexts are kept per thread for the next one.
class Decompressor {
public:
    virtual ~Decompressor() = default;
    Decompressor(const Decompressor&) = delete;
    Decompressor& operator=(const Decompressor&) = delete;

    // Gives:  the next bytes, valid until the next call; empty at the end of the stream.
    // Errors: corrupt_message for bytes that are no such stream, or end inside one; message_too_large once more than
    //         the limit came out, which is how a decompression bomb ends. After an error: nothing more.
    Result<ByteView> next();

protected:
    explicit Decompressor(std::size_t output_bytes_max) : output_bytes_max_{output_bytes_max} {}
    virtual Result<ByteView> produce() = 0;

private:
    std::size_t output_bytes_max_;
    std::size_t produced_ = 0;
};

// Errors: unsupported_compression_type for an unknown codec.
Result<std::unique_ptr<Decompressor>> make_decompressor(CompressionType type, ByteView input,
                                                        std::size_t output_bytes_max);

// The same in one go, appended to `out`, which grows with what really comes out.
Result<void> decompress(CompressionType type, ByteView input, std::size_t output_bytes_max,
                        std::vector<std::uint8_t>& out);

}  // namespace odr::record
