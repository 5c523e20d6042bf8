// lz4: the frame format, as magic 2 has it (magic 0 and 1 had a frame with a wrong header checksum, KAFKA-3160).
#include <lz4frame.h>

#include <algorithm>

#include "record/codecs.h"
#include "record/scratch.h"

namespace odr::record::codecs {

namespace {

constexpr std::int32_t kFastLevel = 9;  // Kafka's default level means the fast compressor, not level 9 of the slow one
constexpr int kSlowLevelMin = 3;
constexpr int kSlowLevelMax = 12;

struct Context {
    LZ4F_dctx* raw = nullptr;
    Context() {
        if (LZ4F_isError(LZ4F_createDecompressionContext(&raw, LZ4F_VERSION))) raw = nullptr;
    }
    ~Context() { LZ4F_freeDecompressionContext(raw); }
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
};

class Lz4Decompressor final : public Decompressor {
public:
    Lz4Decompressor(ByteView input, std::size_t output_bytes_max) : Decompressor{output_bytes_max}, rest_{input} {
        is_broken_ = context_->raw == nullptr;
        if (!is_broken_) LZ4F_resetDecompressionContext(context_->raw);
    }

private:
    Result<ByteView> produce() override {
        if (is_broken_) return corrupt();
        std::size_t filled = 0;
        while (!is_done_ && filled == 0) {
            std::size_t taken = rest_.size();
            filled = chunk_->size();
            const std::size_t hint =
                LZ4F_decompress(context_->raw, chunk_->data(), &filled, rest_.data(), &taken, nullptr);
            if (LZ4F_isError(hint)) return corrupt();
            rest_ = rest_.subspan(taken);
            is_done_ = hint == 0;
            if (is_done_ && !rest_.empty()) return corrupt();
            if (!is_done_ && filled == 0 && taken == 0) return corrupt();  // the frame wants more than there is
        }
        return ByteView{chunk_->data(), filled};
    }
    std::unexpected<Error> corrupt() {
        is_broken_ = true;
        return fail(ErrorCode::corrupt_message, "records are not the lz4 frame they claim to be");
    }

    ByteView rest_;
    Scratch<Context> context_;
    Scratch<Chunk> chunk_;
    bool is_done_ = false;
    bool is_broken_ = false;
};

}  // namespace

Result<void> compress_lz4(std::int32_t level, ByteView input, std::vector<std::uint8_t>& out) {
    LZ4F_preferences_t preferences{};
    preferences.frameInfo.blockSizeID = LZ4F_max64KB;
    preferences.frameInfo.blockMode = LZ4F_blockIndependent;
    preferences.compressionLevel = level == kFastLevel ? 0 : std::clamp(level, kSlowLevelMin, kSlowLevelMax);
    const std::size_t before = out.size();
    const std::size_t bound = LZ4F_compressFrameBound(input.size(), &preferences);
    out.resize(before + bound);
    const std::size_t written =
        LZ4F_compressFrame(out.data() + before, bound, input.data(), input.size(), &preferences);
    if (LZ4F_isError(written)) return refused_by_library();
    out.resize(before + written);
    return {};
}

std::unique_ptr<Decompressor> lz4_decompressor(ByteView input, std::size_t output_bytes_max) {
    return std::make_unique<Lz4Decompressor>(input, output_bytes_max);
}

}  // namespace odr::record::codecs
