// gzip: libdeflate writes, since it has the whole payload at hand, and reads what fits into a chunk, at twice the speed
// of zlib; zlib reads everything else, since it streams.
#include <libdeflate.h>
#include <zlib.h>

#include <algorithm>
#include <limits>

#include "record/codecs.h"
#include "record/scratch.h"

namespace odr::record::codecs {

namespace {

constexpr int kZlibDefaultLevel = 6;  // what -1 stands for
constexpr int kGzipWindowBits = 15 + 16;
constexpr std::size_t kMemberBytesMin = 18;  // header and trailer, which ends in the size of what was packed

struct Compressor {
    libdeflate_compressor* raw = nullptr;
    explicit Compressor(int level) : raw{libdeflate_alloc_compressor(level)} {}
    ~Compressor() { libdeflate_free_compressor(raw); }
    Compressor(const Compressor&) = delete;
    Compressor& operator=(const Compressor&) = delete;
};

struct SmallReader {
    libdeflate_decompressor* raw = libdeflate_alloc_decompressor();
    SmallReader() = default;
    ~SmallReader() { libdeflate_free_decompressor(raw); }
    SmallReader(const SmallReader&) = delete;
    SmallReader& operator=(const SmallReader&) = delete;
};

struct Inflater {
    z_stream stream{};
    bool is_ready = false;
    Inflater() { is_ready = inflateInit2(&stream, kGzipWindowBits) == Z_OK; }
    ~Inflater() { inflateEnd(&stream); }
    Inflater(const Inflater&) = delete;
    Inflater& operator=(const Inflater&) = delete;
};

class GzipDecompressor final : public Decompressor {
public:
    GzipDecompressor(ByteView input, std::size_t output_bytes_max) : Decompressor{output_bytes_max}, rest_{input} {
        is_done_ = !inflater_->is_ready || inflateReset(&inflater_->stream) != Z_OK;
        is_broken_ = is_done_;
    }

private:
    Result<ByteView> produce() override {
        if (is_broken_) return corrupt();
        if (std::exchange(is_fresh_, false)) {
            if (const std::size_t size = unpack_at_once(); size > 0) return ByteView{chunk_->data(), size};
        }
        z_stream& z = inflater_->stream;
        std::size_t filled = 0;
        while (!is_done_ && filled < chunk_->size()) {
            const auto step_in = static_cast<uInt>(std::min<std::size_t>(rest_.size(), std::size_t{1} << 30));
            const auto step_out = static_cast<uInt>(chunk_->size() - filled);
            z.next_in = const_cast<Bytef*>(rest_.data());
            z.avail_in = step_in;
            z.next_out = chunk_->data() + filled;
            z.avail_out = step_out;
            const int status = inflate(&z, Z_NO_FLUSH);
            rest_ = rest_.subspan(step_in - z.avail_in);
            filled += step_out - z.avail_out;
            if (status == Z_STREAM_END) {
                if (!start_next_member()) return corrupt();
            } else if (status != Z_OK || (rest_.empty() && z.avail_out != 0)) {
                return corrupt();
            }
        }
        return ByteView{chunk_->data(), filled};
    }

    // Gives: the size of the whole stream, unpacked into the chunk; 0 where it does not fit, is made of several
    // members, or is broken: the stream reader knows what to make of that.
    std::size_t unpack_at_once() {
        if (rest_.size() < kMemberBytesMin) return 0;
        std::uint32_t claimed_size = 0;
        for (std::size_t i = 0; i < 4; ++i) claimed_size |= std::uint32_t{rest_[rest_.size() - 4 + i]} << (8 * i);
        if (claimed_size > chunk_->size()) return 0;
        Scratch<SmallReader> reader;
        if (reader->raw == nullptr) return 0;
        std::size_t taken = 0;
        std::size_t written = 0;
        const libdeflate_result result = libdeflate_gzip_decompress_ex(
            reader->raw, rest_.data(), rest_.size(), chunk_->data(), chunk_->size(), &taken, &written);
        if (result != LIBDEFLATE_SUCCESS || taken != rest_.size()) return 0;
        rest_ = {};
        is_done_ = true;
        return written;
    }

    // Members may follow each other. What follows and is none is left alone, as Java's reader does.
    bool start_next_member() {
        if (rest_.size() >= 2 && rest_[0] == 0x1f && rest_[1] == 0x8b) return inflateReset(&inflater_->stream) == Z_OK;
        is_done_ = true;
        return true;
    }
    std::unexpected<Error> corrupt() {
        is_broken_ = true;
        return fail(ErrorCode::corrupt_message, "records are not the gzip stream they claim to be");
    }

    ByteView rest_;
    Scratch<Inflater> inflater_;
    Scratch<Chunk> chunk_;
    bool is_fresh_ = true;
    bool is_done_ = false;
    bool is_broken_ = false;
};

}  // namespace

Result<void> compress_gzip(std::int32_t level, ByteView input, std::vector<std::uint8_t>& out) {
    const Compressor compressor{level == -1 ? kZlibDefaultLevel : level};
    if (compressor.raw == nullptr) return refused_by_library();
    const std::size_t before = out.size();
    const std::size_t bound = libdeflate_gzip_compress_bound(compressor.raw, input.size());
    out.resize(before + bound);
    const std::size_t written =
        libdeflate_gzip_compress(compressor.raw, input.data(), input.size(), out.data() + before, bound);
    if (written == 0) return refused_by_library();
    out.resize(before + written);
    return {};
}

std::unique_ptr<Decompressor> gzip_decompressor(ByteView input, std::size_t output_bytes_max) {
    return std::make_unique<GzipDecompressor>(input, output_bytes_max);
}

}  // namespace odr::record::codecs
