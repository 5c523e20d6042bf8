// zstd: frames as KIP-110 has them.
#include <zstd.h>

#include "record/codecs.h"
#include "record/scratch.h"

namespace odr::record::codecs {

namespace {

// A producer may compress at level 22, whose frames ask for a window of 128 MiB. The library reserves it at the frame's
// word, but only produced bytes are written there, so memory that counts stays bounded by the output limit.
constexpr int kWindowLogMax = 27;
// A context that grew beyond this is not kept.
constexpr std::size_t kKeptContextBytesMax = std::size_t{10} << 20;

struct CompressContext {
    ZSTD_CCtx* raw = ZSTD_createCCtx();
    CompressContext() = default;
    ~CompressContext() { ZSTD_freeCCtx(raw); }
    CompressContext(const CompressContext&) = delete;
    CompressContext& operator=(const CompressContext&) = delete;
};

struct DecompressContext {
    ZSTD_DCtx* raw = ZSTD_createDCtx();
    DecompressContext() = default;
    ~DecompressContext() { ZSTD_freeDCtx(raw); }
    DecompressContext(const DecompressContext&) = delete;
    DecompressContext& operator=(const DecompressContext&) = delete;
};

class ZstdDecompressor final : public Decompressor {
public:
    ZstdDecompressor(ByteView input, std::size_t output_bytes_max) : Decompressor{output_bytes_max}, rest_{input} {
        is_broken_ = context_->raw == nullptr;
        if (is_broken_) return;
        ZSTD_DCtx_reset(context_->raw, ZSTD_reset_session_and_parameters);
        ZSTD_DCtx_setParameter(context_->raw, ZSTD_d_windowLogMax, kWindowLogMax);
    }
    ~ZstdDecompressor() override {
        if (ZSTD_sizeof_DCtx(context_->raw) > kKeptContextBytesMax) context_.forget();
    }

private:
    Result<ByteView> produce() override {
        if (is_broken_) return corrupt();
        ZSTD_outBuffer to{chunk_->data(), chunk_->size(), 0};
        // Frames may follow each other; the stream ends where the bytes do, if a frame just ended.
        while (to.pos < to.size && (is_inside_frame_ || !rest_.empty())) {
            ZSTD_inBuffer from{rest_.data(), rest_.size(), 0};
            const std::size_t pos_before = to.pos;
            const std::size_t hint = ZSTD_decompressStream(context_->raw, &to, &from);
            if (ZSTD_isError(hint)) return corrupt();
            rest_ = rest_.subspan(from.pos);
            is_inside_frame_ = hint != 0;
            if (is_inside_frame_ && from.pos == 0 && to.pos == pos_before) return corrupt();
        }
        return ByteView{chunk_->data(), to.pos};
    }
    std::unexpected<Error> corrupt() {
        is_broken_ = true;
        return fail(ErrorCode::corrupt_message, "records are not the zstd stream they claim to be");
    }

    ByteView rest_;
    Scratch<DecompressContext> context_;
    Scratch<Chunk> chunk_;
    bool is_inside_frame_ = true;  // an empty input is no stream
    bool is_broken_ = false;
};

}  // namespace

Result<void> compress_zstd(std::int32_t level, ByteView input, std::vector<std::uint8_t>& out) {
    Scratch<CompressContext> context;
    if (context->raw == nullptr) return refused_by_library();
    const std::size_t before = out.size();
    const std::size_t bound = ZSTD_compressBound(input.size());
    out.resize(before + bound);
    const std::size_t written =
        ZSTD_compressCCtx(context->raw, out.data() + before, bound, input.data(), input.size(), level);
    if (ZSTD_sizeof_CCtx(context->raw) > kKeptContextBytesMax) context.forget();
    if (ZSTD_isError(written)) return refused_by_library();
    out.resize(before + written);
    return {};
}

std::unique_ptr<Decompressor> zstd_decompressor(ByteView input, std::size_t output_bytes_max) {
    return std::make_unique<ZstdDecompressor>(input, output_bytes_max);
}

}  // namespace odr::record::codecs
