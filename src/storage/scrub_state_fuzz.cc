#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "storage/scrub_state.h"

// What is read can be written and read again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto state = odr::storage::decode_scrub_state({reinterpret_cast<const char*>(data), size});
    if (!state) return 0;
    ODR_ASSERT(odr::storage::decode_scrub_state(odr::storage::encode_scrub_state(*state)) == *state, "round trip");
    return 0;
}
