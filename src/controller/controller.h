#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"
#include "base/types.h"
#include "base/uuid.h"
#include "controller/answer.h"
#include "io/may_block.h"
#include "io/reactor.h"
#include "metadata/bootstrap.h"
#include "metadata/image.h"

namespace odr::config {
class BrokerConfig;
}
namespace odr::metadata {
class MetadataLoader;
}
namespace odr::raft {
class MetadataLog;
}
namespace odr::protocol {
#define ODR_CONTROLLER_REQUEST(name) \
    struct name##Request;            \
    struct name##Response;
#include "controller/requests.inc"
#undef ODR_CONTROLLER_REQUEST
}  // namespace odr::protocol

namespace odr::controller {

// The response that belongs to a request: ResponseOf<protocol::CreateTopicsRequest>.
template <class Request>
struct ResponseOfRequest;
#define ODR_CONTROLLER_REQUEST(name)                    \
    template <>                                         \
    struct ResponseOfRequest<protocol::name##Request> { \
        using type = protocol::name##Response;          \
    };
#include "controller/requests.inc"
#undef ODR_CONTROLLER_REQUEST
template <class Request>
using ResponseOf = typename ResponseOfRequest<Request>::type;

struct ControllerOptions {
    std::shared_ptr<const config::BrokerConfig> config;  // as the process was started, without dynamic settings
    std::string cluster_id;
    std::vector<metadata::Endpoint> listeners;  // of this controller as others reach it, ports bound
    metadata::BootstrapMetadata bootstrap;      // for an empty log; metadata::read_bootstrap()
    // The broker in this process: it needs no heartbeats to count as alive, and an earlier incarnation of it is known
    // to be dead. none: a controller on its own.
    std::optional<BrokerId> embedded_broker;
    // Called once, on the controller's thread, when the log cannot be trusted any more: stop the process.
    std::move_only_function<void(const Error&)> on_fatal;
    std::size_t queued_requests_max = 10'000;  // more are answered with throttling_quota_exceeded
};

struct RequestContext {
    std::int16_t api_version = 0;  // some errors have other codes for old clients
    std::string_view principal = "User:ANONYMOUS";
};

// Called once, on the controller's thread: hand over and return. An error stands for the whole request, such as
// not_controller, kafka_storage_error, throttling_quota_exceeded; per-topic errors are in the response.
template <class Request>
using Done = std::move_only_function<void(Result<Answer<ResponseOf<Request>>>)>;

// The active controller of a quorum of one: it turns requests into metadata records, appends them to the metadata log
// and answers when they are committed.
//
// Each request is computed against the newest state, uncommitted records of requests before it included, so two that
// come together see each other. All that waits is appended, then one sync serves all of it, then all are answered.
//
// Owner:    the server; after the MetadataLog and its loader, which outlive it.
// Threads:  one of its own, which may wait for the disk; the public functions from any.
// Validation: everything that Kafka's ControllerApis and controller check but authorization and quotas: a handler takes
//           what its user may not touch out of the request, and adds it to the response.
// Errors:   a failed append or sync fails everything pending and on_fatal is called; nothing is accepted afterwards.
// Not here: reading the log (metadata's loader, which makes and publishes images), snapshots (the loader's too).
// Kafka:    QuorumController, ControllerApis, and the ...ControlManager classes.
class Controller {
public:
    // Needs: `loader` is registered with `log`, which leads: become_leader() was called. So the loader has seen all.
    Controller(raft::MetadataLog& log, const metadata::MetadataLoader& loader, const Clock& clock, Random& random,
               ControllerOptions options);
    ~Controller();  // stop()
    Controller(const Controller&) = delete;
    Controller& operator=(const Controller&) = delete;

    // Writes what a new leader writes (bootstrap records into an empty log, this controller's registration), starts
    // the thread. Requests may be submitted before; they wait.
    // Errors: of the log.
    Result<void> start(io::MayBlock);
    // Answers what is queued, then ends the thread. Requests afterwards: not_controller.
    void stop();

    // Queues a request. What its views point at stays alive until `done` was called: let `done` own the frame.
#define ODR_CONTROLLER_REQUEST(name) \
    void submit(RequestContext context, protocol::name##Request request, Done<protocol::name##Request> done);
#include "controller/requests.inc"
#undef ODR_CONTROLLER_REQUEST

    // The same for a coroutine on a reactor, which goes on there; it keeps the frame alive itself.
    //   const auto answer = co_await controller.call(context, std::move(request));
    // Gives: Result<Answer<ResponseOf<Request>>>.
    template <class Request>
    auto call(RequestContext context, Request request) {
        using Value = Result<Answer<ResponseOf<Request>>>;
        struct Awaiter {
            Controller& controller;
            RequestContext context;
            Request request;
            std::optional<Value> value;

            bool await_ready() const { return false; }
            void await_suspend(std::coroutine_handle<> caller) {
                io::Reactor* const home = io::Reactor::current();
                ODR_ASSERT(home != nullptr, "call() is for coroutines on a reactor");
                controller.submit(context, std::move(request), [this, home, caller](Value answer) {
                    value.emplace(std::move(answer));
                    home->resume(caller);
                });
            }
            Value await_resume() { return std::move(*value); }
        };
        return Awaiter{*this, context, std::move(request), std::nullopt};
    }

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace odr::controller
