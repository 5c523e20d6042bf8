// snappy: raw blocks in the framing of xerial's snappy-java, which is what Kafka's clients write. Others (librdkafka)
// send one raw block with no frame at all; the two can be told apart, since no raw block starts with the magic.
#include <snappy.h>

#include <algorithm>
#include <array>

#include "record/codecs.h"
#include "record/scratch.h"

namespace odr::record::codecs {

namespace {

constexpr std::size_t kBlockBytes = std::size_t{32} << 10;
constexpr std::size_t kFrameHeaderBytes = 16;
constexpr std::array<std::uint8_t, 8> kFrameMagic = {0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0x00};
constexpr std::int32_t kFrameVersion = 1;
// Three bytes of a raw block make 64 at most, so a block that claims more is lying.
constexpr std::size_t kExpansionMax = 22;

const char* chars(ByteView bytes) { return reinterpret_cast<const char*>(bytes.data()); }

bool starts_frame(ByteView bytes) {
    return bytes.size() >= kFrameMagic.size() && std::equal(kFrameMagic.begin(), kFrameMagic.end(), bytes.begin());
}

class SnappyDecompressor final : public Decompressor {
public:
    SnappyDecompressor(ByteView input, std::size_t output_bytes_max)
        : Decompressor{output_bytes_max}, output_bytes_max_{output_bytes_max}, rest_{input} {
        is_framed_ = starts_frame(input);
    }

private:
    Result<ByteView> produce() override {
        if (is_broken_) return corrupt();
        for (;;) {
            ODR_TRY(block, next_block());
            if (block.empty()) return block;
            ODR_CHECK(unpack(block));
            if (!buffer_.empty()) return ByteView{buffer_};  // an empty block is not the end
        }
    }

    // Gives: the next raw block; empty at the end.
    Result<ByteView> next_block() {
        if (!is_framed_) {
            if (rest_.empty() && !is_started_) return corrupt();
            is_started_ = true;
            return std::exchange(rest_, {});
        }
        while (starts_frame(rest_)) {  // streams may follow each other
            if (rest_.size() < kFrameHeaderBytes) return corrupt();
            if (load_be<std::int32_t>(rest_.data() + 12) > kFrameVersion) return corrupt();
            rest_ = rest_.subspan(kFrameHeaderBytes);
        }
        if (rest_.empty()) return ByteView{};
        if (rest_.size() < 4) return corrupt();
        const auto length = load_be<std::uint32_t>(rest_.data());
        if (length == 0 || length > rest_.size() - 4) return corrupt();
        const ByteView block = rest_.subspan(4, length);
        rest_ = rest_.subspan(4 + std::size_t{length});
        return block;
    }

    Result<void> unpack(ByteView block) {
        std::size_t size = 0;
        if (!snappy::GetUncompressedLength(chars(block), block.size(), &size)) return corrupt();
        if (size > block.size() * kExpansionMax) return corrupt();
        if (size > output_bytes_max_) {
            return fail(ErrorCode::message_too_large, "compressed records unpack to more than the limit");
        }
        buffer_.resize(size);
        if (!snappy::RawUncompress(chars(block), block.size(), reinterpret_cast<char*>(buffer_.data()))) {
            return corrupt();
        }
        return {};
    }
    std::unexpected<Error> corrupt() {
        is_broken_ = true;
        return fail(ErrorCode::corrupt_message, "records are not the snappy stream they claim to be");
    }

    std::size_t output_bytes_max_;
    ByteView rest_;
    std::vector<std::uint8_t> buffer_;
    bool is_framed_ = false;
    bool is_started_ = false;
    bool is_broken_ = false;
};

}  // namespace

Result<void> compress_snappy(ByteView input, std::vector<std::uint8_t>& out) {
    const std::size_t block_bound = snappy::MaxCompressedLength(kBlockBytes);
    const std::size_t blocks = (input.size() + kBlockBytes - 1) / kBlockBytes;
    std::size_t at = out.size();
    out.resize(at + kFrameHeaderBytes + blocks * (4 + block_bound));
    std::copy(kFrameMagic.begin(), kFrameMagic.end(), out.data() + at);
    store_be(out.data() + at + 8, kFrameVersion);
    store_be(out.data() + at + 12, kFrameVersion);  // the oldest version that can read it
    at += kFrameHeaderBytes;
    for (; !input.empty(); input = input.subspan(std::min(kBlockBytes, input.size()))) {
        std::size_t written = 0;
        snappy::RawCompress(chars(input), std::min(kBlockBytes, input.size()),
                            reinterpret_cast<char*>(out.data() + at + 4), &written);
        store_be(out.data() + at, static_cast<std::uint32_t>(written));
        at += 4 + written;
    }
    out.resize(at);
    return {};
}

std::unique_ptr<Decompressor> snappy_decompressor(ByteView input, std::size_t output_bytes_max) {
    return std::make_unique<SnappyDecompressor>(input, output_bytes_max);
}

}  // namespace odr::record::codecs
