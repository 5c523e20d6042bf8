#pragma once

#include <cerrno>

#include "base/result.h"

namespace odr::storage {

// Whether what failed can be done later, as when there is no room or no descriptor left. Anything else that the kernel
// refuses means that the disk is not to be relied upon. Errors without an errno are no word of the disk's.
inline bool is_passing_failure(const Error& error) {
    switch (error.os_errno) {
        case 0:
        case ENOSPC:
        case EDQUOT:
        case EMFILE:
        case ENFILE:
        case ENOMEM:
        case EINTR:
        case EAGAIN:
            return true;
        default:
            return false;
    }
}

}  // namespace odr::storage
