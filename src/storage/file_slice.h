#pragma once

#include <cstddef>
#include <memory>

#include "io/file_system.h"

namespace odr::storage {

class Disk;

// Bytes of a segment on their way to a socket.
//
// Owner:   whoever sends them. The open file is pinned, so a segment may be renamed, unlinked or closed by its log
//          meanwhile and the bytes stay. Truncation is the exception: what a slice names beyond the cut is gone, and a
//          sender must take a short read for the end of the connection.
// Threads: any; a slice is a value.
// Units:   bytes from the start of the .log file.
struct FileSlice {
    std::shared_ptr<const io::File> file;  // null only when length is 0
    io::FilePos position = 0;
    std::size_t length = 0;
    std::size_t warm = 0;  // so much from `position` was in the page cache when the slice was made
    Disk* disk = nullptr;  // whose threads read what is not warm; outlives every sender; null: any thread that may wait

    bool empty() const { return length == 0; }
};

}  // namespace odr::storage
