#pragma once

#include "base/bytes.h"

namespace odr {

// CRC-32C (Castagnoli), as record batches and producer snapshots carry it.
// crc32c(b, crc32c(a)) is the checksum of a followed by b.
std::uint32_t crc32c(ByteView bytes, std::uint32_t before = 0);

}  // namespace odr
