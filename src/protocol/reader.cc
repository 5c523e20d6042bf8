#include "protocol/reader.h"

namespace odr::protocol {

std::uint32_t Reader::long_varint(const char* what) {
    std::uint32_t value = 0;
    const std::size_t size = read_unsigned_varint(rest(), value);
    if (size == 0) {
        fail(what);
        return 0;
    }
    at_ += size;
    return value;
}

}  // namespace odr::protocol
