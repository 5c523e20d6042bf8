#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "io/file_system.h"

namespace odr::storage {

// Where the scrub of a log directory writes how far it is. Apache Kafka takes no notice of it.
inline constexpr const char* kScrubStateFile = ".odradek-scrub";

// A range of bytes that the scrub found broken.
struct ScrubFinding {
    std::string file;  // below the log directory: orders-0/00000000000000000000.log
    io::FilePos position = 0;
    std::uint64_t length = 0;
    Offset first_offset = kNoOffset, last_offset = kNoOffset;
    TimestampMs found{0};    // first
    std::int64_t cycle = 0;  // in which it was seen last
    std::string what;
    friend bool operator==(const ScrubFinding&, const ScrubFinding&) = default;
};

// What survives a restart: counts, findings, and the segment to go on with.
struct ScrubState {
    static constexpr std::size_t kFindingsMax = 1000;

    std::int64_t cycle = 0;  // the one under way, or the last one
    TimestampMs cycle_started{-1};
    TimestampMs cycle_ended{-1};  // -1 while it is under way
    std::string folder, segment;  // to be read next, while a cycle is under way; empty: the first
    std::uint64_t cycle_bytes = 0, cycle_segments = 0;
    std::uint64_t bytes = 0, segments = 0;  // ever
    std::uint64_t damaged_ranges = 0;       // ever found; a range that stays broken counts once
    std::vector<ScrubFinding> findings;     // as of now, at most kFindingsMax
    friend bool operator==(const ScrubState&, const ScrubState&) = default;
};

// Text: a line `name=value` each, findings with their fields between tabs.
std::string encode_scrub_state(const ScrubState& state);
// Errors: kafka_storage_error for anything that cannot be one.
Result<ScrubState> decode_scrub_state(std::string_view text);

}  // namespace odr::storage
