#include "base/assert.h"
#include "base/bytes.h"
#include "console/http_request.h"

// Requests of HTTP, whole and in parts: more bytes never change what was decided, and there is always a decision in the
// end.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace odr;
    using namespace odr::console;
    const std::string_view text = as_text({data, size});
    const auto whole = parse_http_request(text);
    ODR_ASSERT(whole || size < kHttpHeadBytesMax, "undecided after {} bytes", size);
    if (whole) ODR_ASSERT(whole->refused_with != 0 || whole->path.starts_with('/'), "path={}", whole->path);
    for (std::size_t part = 1; part < size; part += 1 + size / 64) {
        const auto early = parse_http_request(text.substr(0, part));
        if (!early) continue;
        ODR_ASSERT(whole && (whole->refused_with != 0) == (early->refused_with != 0) && whole->path == early->path &&
                       whole->is_head == early->is_head,
                   "after {} bytes", part);
    }
    return 0;
}
