#pragma once

#include <map>
#include <optional>

#include "load/client.h"

namespace odr::bench {

struct ReadBack {
    std::uint64_t records = 0;
    std::uint64_t batches = 0;
    std::uint64_t bytes = 0;
    std::int64_t next_offset = 0;
};

// Checks a run of batches as a fetch answers them: magic 2, a valid CRC, offsets that follow each other from
// `next_offset`, as many records as the header says. A batch that is cut at the end is left out.
// Errors: corrupt_message, invalid_record.
Result<void> check_batches(ByteView records, ReadBack& so_far);

struct ReadRange {
    std::int64_t from = 0;
    std::optional<std::int64_t> to{};  // nullopt: the end of the log when the reading starts
};

// Fetches and checks a range of one partition over a connection of its own.
// Errors: check_batches', the network's, the broker's.
Result<ReadBack> read_back(const Address& broker, const TopicTarget& topic, std::int32_t partition,
                           const ReadRange& range);

// Reads every partition to its end. Needs: how many records of each were acknowledged, and nobody else writes.
// Errors: corrupt_message where the records there are not those; read_back's.
Result<ReadBack> verify_acknowledged(const Address& broker, const TopicTarget& topic,
                                     const std::map<std::int32_t, std::uint64_t>& acknowledged);

}  // namespace odr::bench
