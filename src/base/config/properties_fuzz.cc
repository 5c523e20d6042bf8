// Any bytes either parse or are refused, and what was parsed survives being written and read again.
#include <cstdlib>

#include "base/bytes.h"
#include "base/config/properties.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto pairs = odr::config::parse_properties(odr::as_text({data, size}));
    if (!pairs) return 0;
    const auto again = odr::config::parse_properties(odr::config::write_properties({pairs->begin(), pairs->end()}));
    if (!again || *again != *pairs) std::abort();
    return 0;
}
