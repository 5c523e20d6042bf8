#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/result.h"
#include "metadata/image_holder.h"
#include "metadata/metadata_loader.h"
#include "raft/metadata_log.h"

namespace odr::metadata {

// Writes a snapshot of the newest image when the log grew enough, and lets the log clean up behind it.
//
// Owner:   the server. Threads: one at a time, on the blocking pool: it holds an image, so nobody waits for it.
// Kafka:   SnapshotGenerator.
class SnapshotGenerator {
public:
    struct Options {
        std::uint64_t max_record_bytes = 20'971'520;  // metadata.log.max.record.bytes.between.snapshots
        std::int64_t max_interval_ms = 3'600'000;     // metadata.log.max.snapshot.interval.ms; 0: never by time
    };
    SnapshotGenerator(raft::MetadataLog& log, const ImageHolder& holder, MetadataLoader& loader, const Clock& clock,
                      Options options)
        : log_{log},
          holder_{holder},
          loader_{loader},
          clock_{clock},
          options_{options},
          last_ms_{clock.monotonic_ms()} {}

    // Gives: whether a snapshot was written. Call it every second or so.
    Result<bool> run_if_due(io::MayBlock);
    // Whatever the limits say. False where the image stands at no end of a batch, or in a snapshot already.
    Result<bool> run_now(io::MayBlock);

private:
    raft::MetadataLog& log_;
    const ImageHolder& holder_;
    MetadataLoader& loader_;
    const Clock& clock_;
    Options options_;
    std::int64_t last_ms_;
};

}  // namespace odr::metadata
