#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "load/payload.h"

namespace odr::bench {

// One non-blocking connection that sends prepared Produce requests, several in flight, and takes the answers in order.
//
// Threads: one. Needs: prepared requests outlive their answers.
class ProduceLane {
public:
    struct InFlight {
        const PreparedProduce* request = nullptr;
        std::int64_t due_ns = 0;    // what its latency counts from
        std::int64_t given_ns = 0;  // to the connection
        std::array<std::uint8_t, kFrameHeadBytes> head{};
    };

    // With expects_answers off (acks=0), a request is over when the socket has taken it.
    ProduceLane(Socket socket, int capacity, bool expects_answers);

    int fd() const { return socket_.fd(); }
    int in_flight() const { return count_; }
    bool has_room() const { return count_ < static_cast<int>(ring_.size()); }
    bool has_unsent() const { return sent_ < count_; }

    // Needs: has_room(). Sent by the next flush().
    void enqueue(const PreparedProduce& request, std::int64_t due_ns, std::int64_t now_ns);
    // Sends what the socket takes now. Errors: network_exception.
    Result<void> flush();
    // Takes the answers that are there: on_answer(const InFlight&, const ProduceAnswer&) for each.
    // Needs: scratch of some kB, the same for all lanes. Errors: network_exception, invalid_request.
    template <class OnAnswer>
    Result<void> drain(MutableByteView scratch, const OnAnswer& on_answer) {
        for (bool is_empty = false; !is_empty;) {
            ODR_TRY(filled, receive(scratch, is_empty));
            ByteView rest = filled;
            for (;;) {
                const ByteView answer = next_answer(rest);
                if (answer.empty()) break;
                ODR_CHECK(complete(answer, on_answer));
            }
            ODR_CHECK(keep(rest));
        }
        return {};
    }

private:
    InFlight& at(int index) { return ring_[static_cast<std::size_t>(first_ + index) % ring_.size()]; }
    Result<ByteView> receive(MutableByteView scratch, bool& is_empty);
    static ByteView next_answer(ByteView& rest);
    Result<void> keep(ByteView rest);
    void advance_sent(std::size_t bytes);
    void pop();
    template <class OnAnswer>
    Result<void> complete(ByteView bytes, const OnAnswer& on_answer) {
        ODR_TRY(answer, read_produce_answer(bytes));
        if (sent_ == 0 || load_be<std::int32_t>(at(0).head.data() + 8) != answer.correlation_id) {
            return fail(ErrorCode::invalid_request, "an answer out of turn");
        }
        const InFlight done = at(0);
        pop();
        on_answer(done, answer);
        return {};
    }

    Socket socket_;
    bool expects_answers_;
    std::vector<InFlight> ring_;
    int first_ = 0;  // of the ring: the oldest that is not answered
    int count_ = 0;
    int sent_ = 0;                 // of count_: wholly sent
    std::size_t partly_sent_ = 0;  // bytes of the one after those
    std::int32_t next_correlation_id_ = 0;
    std::vector<std::uint8_t> leftover_;  // the beginning of an answer
};

}  // namespace odr::bench
