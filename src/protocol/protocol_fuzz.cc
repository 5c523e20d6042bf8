// Every decoder: bytes that decode at all decode to an equal message after they were encoded again, and decoding never
// takes more memory than kElementBytesFixed + kElementBytesPerFrameByte * frame.
//
// ODR_FUZZ_MESSAGE=FetchRequest holds the fuzzer to one message; then the first byte picks the version. Without it, the
// first two bytes pick the message and the third the version. tests/protocol/fuzz_each.py runs one after the other.
#include <cstdint>
#include <cstdlib>
#include <new>

#include "base/assert.h"
#include "protocol/reader.h"
#include "protocol/testing/message_ops.h"

namespace {

// Bytes asked of operator new while a decoder runs.
std::size_t asked = 0;

const odr::protocol::MessageOps* fixed_message() {
    const char* name = std::getenv("ODR_FUZZ_MESSAGE");
    if (name == nullptr) return nullptr;
    const auto* ops = odr::protocol::find_message_ops(name);
    ODR_ASSERT(ops != nullptr, "no message {}", name);
    return ops;
}

}  // namespace

void* operator new(std::size_t size) {
    asked += size;
    if (void* memory = std::malloc(size)) return memory;
    throw std::bad_alloc{};
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace odr::protocol;
    static const MessageOps* const fixed = fixed_message();
    odr::ByteView bytes{data, size};
    if (bytes.size() < 3) return 0;
    const auto all = all_message_ops();
    const MessageOps& ops = fixed != nullptr ? *fixed : all[odr::load_be<std::uint16_t>(bytes.data()) % all.size()];
    if (fixed == nullptr) bytes = bytes.subspan(2);
    const int versions = ops.max_version - ops.min_version + 1;
    const auto version = static_cast<std::int16_t>(ops.min_version + bytes[0] % versions);
    bytes = bytes.subspan(1);

    asked = 0;
    const bool decodes = ops.decodes(bytes, version);
    ODR_ASSERT(asked <= kElementBytesFixed + kElementBytesPerFrameByte * bytes.size(),
               "{} v{}: {} bytes for a frame of {}", ops.name, version, asked, bytes.size());
    if (decodes) ODR_ASSERT(ops.round_trips(bytes, version), "{} v{}", ops.name, version);
    return 0;
}
