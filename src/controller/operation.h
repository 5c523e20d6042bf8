#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/config/broker_config.h"
#include "base/random.h"
#include "controller/answer.h"
#include "controller/api_error.h"
#include "controller/broker_heartbeats.h"
#include "controller/colliding_names.h"
#include "controller/controller.h"
#include "metadata/image.h"
#include "metadata/record_list.h"

// What the operations of the controller share. An operation is a function from the state and a request to records and
// an answer; it changes nothing but the heartbeats.
namespace odr::controller {

// Kafka splits what need not be atomic into batches of so many records, and refuses user operations over it.
inline constexpr std::size_t kRecordsPerBatchMax = 10'000;
inline constexpr std::int64_t kPartitionsPerRequestMax = 10'000;

// The controller's state as its thread sees it.
//
// Owner: Controller. Threads: its own.
struct State {
    std::shared_ptr<const metadata::MetadataImage> newest;  // with all records appended so far, committed or not
    Offset next_offset{0};                                  // where the next record goes
    BrokerHeartbeats heartbeats;
    CollidingNames colliding_names;
    const ControllerOptions& options;
    const Clock& clock;
    Random& random;

    const metadata::MetadataImage& image() const { return *newest; }
    const config::BrokerConfig& config() const { return *options.config; }
    metadata::MetadataVersion metadata_version() const { return newest->features().metadata_version; }
    bool is_elr_enabled() const { return newest->features().is_elr_enabled(); }
    bool is_embedded(BrokerId id) const { return options.embedded_broker == id; }
};

template <class Response>
struct Outcome {
    Answer<Response> answer = {};
    metadata::RecordList records = {};
    bool atomic = true;  // false: may be cut into batches, because each record makes sense without the ones behind it

    void fail_with(const ApiError& error) {
        answer.response.error_code = static_cast<std::int16_t>(error.code);
        if (error.message) answer.response.error_message = answer.texts.keep(*error.message);
    }
};

// Copies an error into the fields that most results have.
template <class Entry>
void set_error(Entry& entry, Texts& texts, const ApiError& error) {
    entry.error_code = static_cast<std::int16_t>(error.code);
    entry.error_message = std::nullopt;
    if (error.message) entry.error_message = texts.keep(*error.message);
}

// The operations. An error of the Result is one of the whole request.
#define ODR_CONTROLLER_REQUEST(name)                                                               \
    Result<Outcome<protocol::name##Response>> perform(State& state, const RequestContext& context, \
                                                      const protocol::name##Request& request);
#include "controller/requests.inc"
#undef ODR_CONTROLLER_REQUEST

}  // namespace odr::controller
