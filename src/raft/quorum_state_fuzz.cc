#include "base/assert.h"
#include "raft/quorum_state.h"

// What can be read, and has nothing that a version leaves out, reads back the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace odr;
    const auto state = raft::parse_quorum_state(as_text({data, size}));
    if (!state) return 0;
    const std::int16_t version = state->voted_directory_id.is_zero() ? 0 : 1;
    const auto again = raft::parse_quorum_state(raft::format_quorum_state(*state, version));
    ODR_ASSERT(again && *again == *state, "round trip");
    return 0;
}
