#pragma once

#include <fmt/core.h>

#include <optional>
#include <string>
#include <utility>

#include "base/error_code.h"

namespace odr::controller {

// Why one topic, partition or resource of a request was refused; code none: it was not. Kafka: ApiError.
struct [[nodiscard]] ApiError {
    ErrorCode code = ErrorCode::none;
    std::optional<std::string> message = {};  // none: nothing to say beyond what the code says

    bool failed() const { return code != ErrorCode::none; }
};

template <class... Args>
ApiError refuse(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
    return {code, fmt::format(format, std::forward<Args>(args)...)};
}

}  // namespace odr::controller
