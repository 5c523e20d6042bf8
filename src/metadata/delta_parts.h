#pragma once

#include <memory>

namespace odr::metadata {

// Makes a part of the next image ours to change: a copy on the first call, which `shown` then points at.
template <class Part>
Part& open_part(std::shared_ptr<Part>& open, std::shared_ptr<const Part>& shown) {
    if (open == nullptr) {
        open = std::make_shared<Part>(*shown);
        shown = open;
    }
    return *open;
}

}  // namespace odr::metadata
