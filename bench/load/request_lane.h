#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "load/client.h"

namespace odr::bench {

// One non-blocking connection that sends any requests, several in flight, and takes the answers in their order.
//
// Threads: one.
class RequestLane {
public:
    struct InFlight {
        std::uint64_t tag = 0;     // the caller's
        std::int64_t due_ns = 0;   // what its latency counts from
        std::int16_t api_key = 0;  // what its answer is read with
        std::int16_t version = 0;
        std::int32_t correlation_id = 0;
    };

    explicit RequestLane(Socket socket);

    int fd() const { return socket_.fd(); }
    std::size_t in_flight() const { return waiting_.size(); }
    bool has_unsent() const { return sent_ < out_.size(); }

    // Encodes a request; sent by the next flush().
    template <class Request>
    void enqueue(std::int16_t version, const Request& request, std::uint64_t tag, std::int64_t due_ns) {
        make_room();
        protocol::Writer writer{out_};
        writer.begin_frame();
        const std::int32_t id = begin(Request::kApiKey, version, tag, due_ns);
        protocol::encode_request_header(writer, *protocol::find_api(Request::kApiKey), version, id, kClientId);
        encode(writer, version, request);
        writer.end_frame();
    }
    // A whole frame that was encoded before, with a correlation id of its own.
    void enqueue_frame(ByteView frame, std::int16_t api_key, std::int16_t version, std::uint64_t tag,
                       std::int64_t due_ns);
    // Sends what the socket takes now. Errors: network_exception.
    Result<void> flush();

    // Takes the answers that are there: on_answer(const InFlight&, Reader& body) for each, where it may enqueue more.
    // The body is a view until it returns. Gives: how many. Errors: those of the network and of on_answer.
    template <class OnAnswer>
    Result<std::size_t> drain(const OnAnswer& on_answer) {
        std::size_t answered = 0;
        for (bool is_empty = false; !is_empty;) {
            ODR_CHECK(receive(is_empty));
            std::size_t at = 0;
            for (;;) {
                const ByteView answer = next_answer(at);
                if (answer.empty()) break;
                ODR_TRY(done, match(answer));
                protocol::Reader body{answer};
                ODR_CHECK(skip_header(body, done));
                ODR_CHECK(on_answer(done, body));
                ++answered;
            }
            drop(at);
        }
        return answered;
    }

private:
    void make_room();
    std::int32_t begin(std::int16_t api_key, std::int16_t version, std::uint64_t tag, std::int64_t due_ns);
    Result<void> receive(bool& is_empty);
    ByteView next_answer(std::size_t& at) const;
    Result<InFlight> match(ByteView answer);
    static Result<void> skip_header(protocol::Reader& body, const InFlight& of);
    void drop(std::size_t bytes);

    Socket socket_;
    std::deque<InFlight> waiting_;
    protocol::Buffer out_;
    std::size_t sent_ = 0;  // of out_
    std::vector<std::uint8_t> in_;
    std::size_t filled_ = 0;  // of in_
    std::int32_t next_correlation_id_ = 0;
};

// epoll over lanes, level-triggered for input; output is watched only where a lane has some left.
//
// Threads: one. Needs: what is watched lives as long.
class Poller {
public:
    Poller();
    void watch(int fd, void* tag);
    // Waits until something can be read, or until then. Gives: the tags.
    const std::vector<void*>& wait(std::int64_t until_ns);

private:
    Socket epoll_;
    std::vector<void*> ready_;
};

}  // namespace odr::bench
