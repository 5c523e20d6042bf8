#pragma once

#include "base/result.h"
#include "base/types.h"
#include "coordinator/coordinator_result.h"
#include "metadata/delta.h"

namespace odr::coordinator {

// A record as it stands, or will stand, in the log.
struct ReplayedRecord {
    Offset offset = kNoOffset;
    TimestampMs timestamp = kNoTimestamp;  // the operation's or the batch's
    ProducerId producer_id = kNoProducerId;
    std::int16_t key_type = -1;  // kApiKey of the ...Key message
    ByteView key;                // its body, version 0
    struct Value {
        std::int16_t version = -1;
        ByteView body;
    };
    std::optional<Value> value;  // nullopt: a tombstone
};

// Who asks, where an operation keeps that.
struct Requester {
    std::string_view client_id;
    std::string_view client_host;  // with Kafka's slash before: "/127.0.0.1"
    std::int16_t api_version = 0;
};

// One of a shard's state machines: classic groups, consumer groups, offsets.
//
// Owner: GroupShard. Threads: the shard's.
class GroupPart {
public:
    virtual ~GroupPart() = default;

    // Changes the state as the record says. Called for all records of the log while loading, and for those of an
    // operation just before they are appended.
    // Gives:  false: not a record of this part.
    // Errors: of decoding; the record is then logged by its place and skipped.
    virtual Result<bool> replay(const ReplayedRecord& record) = 0;
    // The log was read to its end: timers of sessions and rebalances start here.
    virtual void on_loaded() {}
    // The state goes: whoever waits for an answer gets not_coordinator. Timers are cancelled by the runtime.
    virtual void on_unloaded() {}
    virtual void on_new_image(const metadata::MetadataChanges& /*changes*/) {}
};

}  // namespace odr::coordinator
