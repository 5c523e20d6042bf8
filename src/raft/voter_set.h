#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "base/uuid.h"

namespace odr::raft {

// A replica of the metadata log: which node, and which of its directories. Kafka: ReplicaKey (KIP-853).
struct ReplicaKey {
    BrokerId id = kNoBroker;
    Uuid directory_id;  // zero: not known, as in a static quorum (kraft.version 0)
    friend auto operator<=>(const ReplicaKey&, const ReplicaKey&) = default;
};

struct VoterEndpoint {
    std::string listener;
    std::string host;
    std::uint16_t port = 0;
    friend bool operator==(const VoterEndpoint&, const VoterEndpoint&) = default;
};

// One voter as a VotersRecord or controller.quorum.voters names it. Kafka: VoterSet.VoterNode.
struct VoterNode {
    ReplicaKey key;
    std::vector<VoterEndpoint> endpoints;
    std::int16_t kraft_version_min = 0;  // what the voter supports
    std::int16_t kraft_version_max = 1;
    friend bool operator==(const VoterNode&, const VoterNode&) = default;
};

using VoterSet = std::vector<VoterNode>;  // sorted by id

const VoterNode* find_voter(const VoterSet& voters, BrokerId id);

// Needs:  "1@host:9093,2@other:9093", as in controller.quorum.voters; the endpoints get the name `listener`.
// Errors: invalid_config.
Result<VoterSet> parse_static_voters(std::string_view text, std::string_view listener);

struct OffsetAndEpoch {
    Offset offset{0};  // one past the last record
    LeaderEpoch epoch{0};
    friend auto operator<=>(const OffsetAndEpoch&, const OffsetAndEpoch&) = default;
};

}  // namespace odr::raft
