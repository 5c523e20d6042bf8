#pragma once

#include <expected>
#include <string_view>
#include <utility>

#include "base/error_code.h"

namespace odr {

// An expected failure: of the disk, of a peer, of a request. Making one never allocates.
struct [[nodiscard]] Error {
    ErrorCode code;              // what the client gets
    int os_errno = 0;            // 0: the kernel had no part in it
    std::string_view what = {};  // a literal; what happened, for the log and for error message fields
};

template <class T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(ErrorCode code, std::string_view what = {}) {
    return std::unexpected{Error{.code = code, .what = what}};
}
inline std::unexpected<Error> fail_errno(ErrorCode code, int os_errno, std::string_view what) {
    return std::unexpected{Error{.code = code, .os_errno = os_errno, .what = what}};
}
inline std::unexpected<Error> fail(const Error& error) { return std::unexpected{error}; }

}  // namespace odr

#define ODR_CONCAT_(a, b) a##b
#define ODR_CONCAT(a, b) ODR_CONCAT_(a, b)

// ODR_TRY(name, expr): declares `name` with the value of a Result, or returns its error.
#define ODR_TRY(name, expr)                                                                      \
    auto ODR_CONCAT(name, _result_) = (expr);                                                    \
    if (!ODR_CONCAT(name, _result_)) return std::unexpected{ODR_CONCAT(name, _result_).error()}; \
    auto& name = *ODR_CONCAT(name, _result_)

// ODR_CHECK(expr): returns the error of a Result<void>.
#define ODR_CHECK(expr)                                                     \
    if (auto odr_checked_ = (expr); !odr_checked_) return std::unexpected { \
            odr_checked_.error()                                            \
        }
