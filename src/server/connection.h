#pragma once

#include <cstdint>
#include <memory>

#include "io/reactor.h"
#include "server/chunk.h"
#include "server/output.h"
#include "server/request_context.h"
#include "server/request_memory.h"

namespace odr::server {

class Processor;

// One client's socket. Reads frames, starts their requests, writes the answers in the order of the requests.
//
// Order:   requests of one connection take effect in order, as in Kafka: the next starts when those before it are
//          answered. Produce requests may follow each other at once, and so may OffsetCommits, for they queue up in
//          order anyway; a pipelined burst of them is one write per partition and one answer.
// Memory:  an idle connection holds no buffer. Bytes of incomplete frames are held as received, at most twice over,
//          however long the frame claims to be.
// Owner:   its processor, which may change between two requests. Threads: that one's reactor.
// Kafka:   KafkaChannel, and the request queue of SocketServer's Processor.
class Connection final : public io::Watcher {
public:
    Connection(Processor& processor, int socket, ConnectionInfo info);
    ~Connection() override;
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    void on_events(std::uint32_t events) override;
    // Closes the socket now. The object goes when the last request in flight has ended.
    void close(std::string_view why);
    bool is_closed() const { return socket_ < 0; }
    std::int64_t last_active_ms() const { return last_active_ms_; }
    ConnectionInfo& info() { return info_; }
    Processor& processor() { return *processor_; }

    // For the processors that share the work.
    void start_watching();
    // Goes there as soon as no request is in flight.
    void move_to(Processor& to);
    void change_processor(Processor& to) { processor_ = &to; }
    // What it cost in this window, about; only the ratio to others' means something.
    std::uint64_t work() const;

    // For RequestContext.
    protocol::Buffer& begin_answer(RequestContext& context);
    void end_answer(RequestContext& context, protocol::Writer& writer);
    // Goes on where it had paused for memory.
    void resume_reading();

private:
    friend class Processor;
    static constexpr std::size_t kOutputBytesMax = std::size_t{1} << 20;  // over it no further request is started
    static constexpr std::size_t kInFlightMax = 4096;
    static constexpr std::size_t kFirstBytesMax = std::size_t{32} << 10;  // a larger answer waits for the turn's end

    void read();
    std::size_t receive_frame_tail();
    // Starts what can be started. Gives: bytes used; the rest is an incomplete frame, or waits for answers.
    std::size_t start_requests(ByteView bytes, const ChunkRef& chunk);
    bool may_start(ByteView frame) const;
    void start_request(ByteView frame, const ChunkRef& chunk);
    void count_memory(RequestContext& context, std::size_t bytes);
    void give_back_memory(const RequestContext& context);
    void run_handler(RequestContext& context);
    void keep_rest(ByteView rest, const ChunkRef& chunk);
    void keep_behind(ByteView behind);
    void process(ByteView bytes, const ChunkRef& chunk);
    void process_kept();
    static void on_request_done(void* context);
    void finish(RequestContext& context);
    void release_in_order();
    void schedule_flush();
    void flush_now();
    bool may_go_first();
    void flush();
    void warm_up();
    void update_interest();
    void destroy_if_unused();
    void note_work(std::size_t cost);
    bool may_move() const;
    bool move_if_asked();

    Processor* processor_;
    Processor* moves_to_ = nullptr;
    int socket_;
    ConnectionInfo info_;
    Output output_;

    ChunkRef kept_;  // bytes received and not yet used: [kept_begin_, kept_end_)
    std::size_t kept_begin_ = 0;
    std::size_t kept_end_ = 0;
    std::size_t frame_end_ = 0;         // kept_ is the home of one large frame, which ends here; 0 otherwise
    std::size_t frame_bytes_seen_ = 0;  // the largest frame that this client has really sent

    RequestContext* first_ = nullptr;  // in flight, in order of arrival
    RequestContext* last_ = nullptr;
    std::size_t in_flight_ = 0;
    SmallRequestBytes small_requests_;
    std::int16_t last_api_key_ = -1;  // of the newest request in flight

    std::uint32_t interest_ = 0;  // what epoll watches for
    bool is_stalled_ = false;     // kept_ holds a whole frame that may not start yet
    bool is_out_of_memory_ = false;
    bool is_blocked_ = false;  // the socket takes no more
    bool is_warming_ = false;  // the pool reads what is to be sent next
    bool is_flush_scheduled_ = false;
    bool is_processing_ = false;  // within process(), where nothing may be destroyed
    std::int64_t last_active_ms_ = 0;
    std::uint64_t work_ = 0;  // in the window work_window_
    std::uint32_t work_window_ = 0;
    Connection* idle_next_ = nullptr;  // in the processor's list by last activity
    Connection* idle_previous_ = nullptr;
};

}  // namespace odr::server
