#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "io/file_system.h"
#include "io/may_block.h"
#include "raft/voter_set.h"

namespace odr::raft {

// What a replica must not forget between elections: the file `quorum-state`, one line of JSON.
//
// Kafka: FileQuorumStateStore, QuorumStateData; data_version 0 with kraft.version 0, 1 with kraft.version 1.
struct QuorumState {
    BrokerId leader_id = kNoBroker;
    LeaderEpoch leader_epoch{-1};
    BrokerId voted_id = kNoBroker;
    Uuid voted_directory_id;               // data_version 1
    std::vector<BrokerId> current_voters;  // data_version 0
    friend bool operator==(const QuorumState&, const QuorumState&) = default;
};

// Errors: corrupt_message for what Kafka could not read; unsupported_version for another data_version than 0 and 1.
Result<QuorumState> parse_quorum_state(std::string_view json);
// Gives: the same bytes that Kafka writes; no line end.
std::string format_quorum_state(const QuorumState& state, std::int16_t data_version);

// Gives: nullopt where there is no such file.
Result<std::optional<QuorumState>> read_quorum_state(io::FileSystem& files, const std::string& path);
Result<void> write_quorum_state(io::MayBlock, io::FileSystem& files, const std::string& path, const QuorumState& state,
                                std::int16_t data_version);

}  // namespace odr::raft
