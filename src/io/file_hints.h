#pragma once

#include <string>

#include "io/file_system.h"

// What the machine's own files can do beyond reading and writing; no effect on simulated ones.
namespace odr::io {

// Reads through this open file bring in what they ask for and nothing ahead of it.
void expect_scattered_reads(const File& file);
// Lets go of cached pages of the range that need no write-back, as if nobody had read them.
void forget_cached(const File& file, FilePos pos, FilePos length);
// Whether somebody holds the lock file (FileSystem::lock); nothing is written. False where it does not exist.
bool is_locked(const std::string& path);

}  // namespace odr::io
