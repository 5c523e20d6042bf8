#include "base/assert.h"
#include "storage/producer_state_manager.h"

// What decodes encodes to the same bytes, but for what stands behind the last entry.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace odr;
    const auto entries = storage::decode_producer_snapshot({data, size});
    if (!entries) return 0;
    const std::string again = storage::encode_producer_snapshot(*entries);
    const auto twice = storage::decode_producer_snapshot(as_bytes(again));
    ODR_ASSERT(twice.has_value() && twice->size() == entries->size(), "round trip");
    return 0;
}
