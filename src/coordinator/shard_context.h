#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/random.h"
#include "coordinator/coordinator_result.h"
#include "coordinator/group_settings.h"
#include "metadata/image.h"

namespace odr::coordinator {

// Run when a timer fires: a write operation like any other. Its error is logged and goes nowhere.
using TimerOperation = std::move_only_function<Result<CoordinatorResult<Nothing>>()>;

// What the state machines of a shard may know of the world. Given by the runtime; tests give a fake on simulated time.
//
// Threads: the shard's.
// Timers:  named; one name has one timer. They die with the state: a shard loaded anew starts without any.
// Kafka:   CoordinatorTimer, CoordinatorShardBuilder.
class ShardContext {
public:
    virtual ~ShardContext() = default;

    virtual TimestampMs now() const = 0;  // wall clock
    // The newest metadata; good until the operation ends.
    virtual const metadata::MetadataImage& image() const = 0;
    virtual std::shared_ptr<const metadata::MetadataImage> shared_image() const = 0;
    // Broker-wide settings in force; good until the operation ends. Those of one group: image().configs(), type group.
    virtual const GroupSettings& settings() const = 0;
    virtual Random& random() = 0;
    // For log lines: "__consumer_offsets-12".
    virtual std::string_view name() const = 0;

    // Runs `operation` after `delay_ms` unless cancelled or replaced; a timer of the same name is replaced.
    virtual void schedule(std::string_view timer, std::int64_t delay_ms, TimerOperation operation) = 0;
    void schedule_if_absent(std::string_view timer, std::int64_t delay_ms, TimerOperation operation) {
        if (!is_scheduled(timer)) schedule(timer, delay_ms, std::move(operation));
    }
    virtual void cancel(std::string_view timer) = 0;
    virtual bool is_scheduled(std::string_view timer) const = 0;
};

}  // namespace odr::coordinator
