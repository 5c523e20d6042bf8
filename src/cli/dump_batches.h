#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "cli/dump_decoders.h"
#include "record/record_batch.h"

namespace odr::cli {

// What of a log is shown, and how.
struct DumpOptions {
    bool is_json = false;
    bool is_deep = false;          // records, not only batches
    bool prints_contents = false;  // keys and values
    bool skips_record_metadata = false;
    bool verifies_only = false, checks_sanity_only = false;  // indexes
    std::int64_t bytes_max = std::numeric_limits<std::int32_t>::max();
    Offset from_offset{0}, to_offset{std::numeric_limits<std::int64_t>::max()};  // both inclusive
    std::int64_t from_timestamp = std::numeric_limits<std::int64_t>::min();
    std::int64_t to_timestamp = std::numeric_limits<std::int64_t>::max();
    std::unique_ptr<RecordDecoder> decoder;

    bool has_range() const {
        return from_offset > Offset{0} || to_offset.raw() != std::numeric_limits<std::int64_t>::max() ||
               from_timestamp != std::numeric_limits<std::int64_t>::min() ||
               to_timestamp != std::numeric_limits<std::int64_t>::max();
    }
};

// What is wrong with a file, as kafka-dump-log says it on standard error when all files are printed.
struct DumpComplaints {
    std::map<std::string, std::map<std::int64_t, std::int64_t>> offset_mismatches, gaps;
    std::map<std::string, std::map<std::int64_t, std::int64_t>> time_mismatches, time_disorder, time_not_found;
    bool has_errors = false;  // something could not be read

    void print() const;
};

// A .log or .checkpoint, as kafka-dump-log prints it.
void dump_log(const std::string& path, const DumpOptions& options, DumpComplaints& complaints);

}  // namespace odr::cli
