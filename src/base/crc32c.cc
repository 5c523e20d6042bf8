#include "base/crc32c.h"

#include <isa-l/crc.h>

namespace odr {

std::uint32_t crc32c(ByteView bytes, std::uint32_t before) {
    // ISA-L takes a non-const pointer and an int length, and leaves both inversions to the caller.
    constexpr std::size_t kStep = std::size_t{1} << 30;
    std::uint32_t crc = ~before;
    while (!bytes.empty()) {
        const std::size_t n = bytes.size() < kStep ? bytes.size() : kStep;
        crc = crc32_iscsi(const_cast<unsigned char*>(bytes.data()), static_cast<int>(n), crc);
        bytes = bytes.subspan(n);
    }
    return ~crc;
}

}  // namespace odr
