#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/types.h"
#include "storage/file_slice.h"

namespace odr::storage {

// Which bytes a fetch wants.
struct ReadRequest {
    Offset from{0};
    std::size_t bytes_max = 0;
    Offset upper_bound{0};         // log end, high watermark or last stable offset: no batch at or above it is given
    bool min_one_message = false;  // the first batch comes whole even when larger than bytes_max
};

// What a fetch gets. The slice may end within a batch, as in Kafka; it starts with a whole header unless bytes_max is
// small.
struct ReadPlan {
    FileSlice slice;  // empty at the upper bound
    Offset log_start_offset{0};
    Offset segment_base_offset{0};
    // Kafka's LogReadInfo.firstEntryIncomplete: the first batch is larger than the slice, as bytes_max was without
    // min_one_message.
    bool first_batch_incomplete = false;
};

// Kafka: AbortedTxn, FetchResponse.AbortedTransaction.
struct AbortedTransaction {
    ProducerId producer_id;
    Offset first_offset;
    friend bool operator==(const AbortedTransaction&, const AbortedTransaction&) = default;
};

// Kafka: TimestampAndOffset.
struct TimestampOffset {
    TimestampMs timestamp = kNoTimestamp;
    Offset offset = kNoOffset;
    LeaderEpoch leader_epoch = kNoLeaderEpoch;
    friend bool operator==(const TimestampOffset&, const TimestampOffset&) = default;
};

// Kafka: EpochAndOffset of OffsetsForLeaderEpoch; -1 and -1 when unknown.
struct EpochEndOffset {
    LeaderEpoch leader_epoch = kNoLeaderEpoch;
    Offset end_offset = kNoOffset;
    friend bool operator==(const EpochEndOffset&, const EpochEndOffset&) = default;
};

// What a producer left in the log, for DescribeProducers.
struct ActiveProducer {
    ProducerId producer_id;
    ProducerEpoch producer_epoch;
    std::int32_t last_sequence;
    TimestampMs last_timestamp;
    std::int32_t coordinator_epoch;
    Offset current_txn_start_offset;  // kNoOffset: none
};

}  // namespace odr::storage
