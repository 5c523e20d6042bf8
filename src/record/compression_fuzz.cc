// The first byte chooses the codec. The rest is read as a stream, which must stay within the limit, and packed, which
// must come back.
#include <algorithm>
#include <vector>

#include "base/assert.h"
#include "record/compression.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace odr::record;
    if (size == 0) return 0;
    constexpr std::size_t kLimit = std::size_t{1} << 20;
    const auto type = static_cast<CompressionType>(data[0] % 5);
    const odr::ByteView bytes{data + 1, size - 1};

    const auto source = make_decompressor(type, bytes, kLimit);
    ODR_ASSERT(source.has_value());
    std::vector<std::uint8_t> plain;
    bool is_whole = false;
    for (;;) {
        const auto chunk = (*source)->next();
        is_whole = chunk && chunk->empty();
        if (!chunk || chunk->empty()) break;
        plain.insert(plain.end(), chunk->begin(), chunk->end());
        ODR_ASSERT(plain.size() <= kLimit);
    }
    const odr::ByteView input = is_whole ? odr::ByteView{plain} : bytes;

    std::vector<std::uint8_t> packed;
    ODR_ASSERT(compress(Compression::of(type), input, packed).has_value());
    std::vector<std::uint8_t> again;
    ODR_ASSERT(decompress(type, packed, input.size(), again).has_value());
    ODR_ASSERT(std::ranges::equal(again, input));
    return 0;
}
