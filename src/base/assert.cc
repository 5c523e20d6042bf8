#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace odr {

void assert_failed(const char* condition, const char* file, int line, const std::string& context) {
    std::fprintf(stderr, "odradek: broken invariant at %s:%d: %s%s%s\n", file, line, condition,
                 context.empty() ? "" : ": ", context.c_str());
    std::fflush(stderr);
    std::abort();
}

}  // namespace odr
