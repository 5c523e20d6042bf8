#include "server/connection.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/log.h"
#include "server/handlers/handlers.h"
#include "server/processor.h"
#include "server/request_memory.h"
#include "storage/disk.h"

namespace odr::server {
namespace {

constexpr std::size_t kSizePrefix = 4;
// Smaller frames are copied beside their context, so that one slow request does not hold a whole chunk.
constexpr std::size_t kSharedFrameFrom = std::size_t{32} << 10;
constexpr std::size_t kFirstCapacity = std::size_t{64} << 10;

// Units of work(): a small request costs about 2 µs, receiving and storing 64 KiB 26 µs, sending them 13 µs.
constexpr std::size_t kRequestWork = 8;
constexpr std::size_t kReceivedBytesPerWork = 640;
constexpr std::size_t kSentBytesPerWork = 1280;

// Requests that take their place in a partition's or a shard's queue before they wait for anything.
bool queues_up(std::int16_t api_key) {
    return api_key == static_cast<std::int16_t>(protocol::ApiKey::produce) ||
           api_key == static_cast<std::int16_t>(protocol::ApiKey::offset_commit);
}

std::int16_t api_key_of(ByteView frame) {
    return frame.size() < 2 ? std::int16_t{-1} : load_be<std::int16_t>(frame.data());
}

}  // namespace

Connection::Connection(Processor& processor, int socket, ConnectionInfo info)
    : processor_{&processor}, socket_{socket}, info_{std::move(info)}, last_active_ms_{processor.reactor().now_ms()} {}

Connection::~Connection() { ODR_ASSERT(first_ == nullptr && is_closed()); }

void Connection::on_events(std::uint32_t events) {
    last_active_ms_ = processor_->reactor().now_ms();
    processor_->touch(*this);
    processor_->note_activity();
    if ((events & EPOLLOUT) != 0) {
        is_blocked_ = false;
        flush();
        if (is_closed()) return destroy_if_unused();
    }
    if ((events & EPOLLIN) != 0) {
        read();
    } else if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
        close("the peer reset it");
    }
    destroy_if_unused();
}

// --- reading

void Connection::read() {
    if (frame_end_ != 0) {
        const std::size_t into_scratch = receive_frame_tail();
        if (is_closed() || kept_end_ < frame_end_) return;
        const ChunkRef frame = std::exchange(kept_, ChunkRef{});
        const std::size_t size = std::exchange(frame_end_, 0);
        kept_begin_ = kept_end_ = 0;
        processor_->memory().give_back(frame.capacity());
        process({frame.data(), size}, frame);
        if (into_scratch > 0 && !is_closed()) {
            const ChunkRef scratch = processor_->scratch();
            const ByteView behind{scratch.data(), into_scratch};
            is_stalled_ ? keep_behind(behind) : process(behind, scratch);
        }
        return;
    }
    ChunkRef scratch = processor_->scratch();
    const std::size_t before = kept_end_ - kept_begin_;
    const ssize_t n = ::recv(socket_, scratch.data() + before, scratch.capacity() - before, MSG_DONTWAIT);
    if (n <= 0) {
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        return close(n == 0 ? "the peer closed it" : "the peer reset it");
    }
    if (before > 0) std::memcpy(scratch.data(), kept_.data() + kept_begin_, before);
    kept_.reset();
    kept_begin_ = kept_end_ = 0;
    process({scratch.data(), before + static_cast<std::size_t>(n)}, scratch);
}

// Receives straight into the large frame's own memory, and what follows the frame into the scratch chunk.
// Gives: bytes in the scratch chunk.
std::size_t Connection::receive_frame_tail() {
    if (kept_end_ == kept_.capacity()) {  // grows by what has been sent, not by what is claimed
        const std::size_t capacity = std::min(frame_end_, kept_.capacity() * 2);
        ChunkRef larger = ChunkRef::allocate(capacity);
        std::memcpy(larger.data(), kept_.data(), kept_end_);
        processor_->memory().take(capacity - kept_.capacity());
        kept_ = std::move(larger);
    }
    const std::size_t room = kept_.capacity() - kept_end_;
    const bool reaches_end = kept_.capacity() == frame_end_;
    const ChunkRef scratch = processor_->scratch();
    std::array<iovec, 2> vectors{iovec{kept_.data() + kept_end_, room}, iovec{scratch.data(), scratch.capacity()}};
    const ssize_t n = ::readv(socket_, vectors.data(), reaches_end ? 2 : 1);
    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR)) close(n == 0 ? "the peer closed it" : "the peer reset it");
        return 0;
    }
    const std::size_t into_frame = std::min(room, static_cast<std::size_t>(n));
    kept_end_ += into_frame;
    return static_cast<std::size_t>(n) - into_frame;
}

void Connection::process(ByteView bytes, const ChunkRef& chunk) {
    is_processing_ = true;
    const std::size_t used = start_requests(bytes, chunk);
    is_processing_ = false;
    if (is_closed()) return;
    keep_rest(bytes.subspan(used), chunk);
    release_in_order();
    if (!output_.empty()) schedule_flush();
    update_interest();
}

std::size_t Connection::start_requests(ByteView bytes, const ChunkRef& chunk) {
    std::size_t used = 0;
    is_stalled_ = false;
    while (!is_closed() && bytes.size() - used >= kSizePrefix) {
        const auto size = load_be<std::int32_t>(bytes.data() + used);
        if (size < 0 || size > processor_->limits().request_bytes_max) {
            log::warn("{} from {}: a request claims {} bytes; socket.request.max.bytes is {}. The connection is closed",
                      info_.listener, info_.peer_address, size, processor_->limits().request_bytes_max);
            close("a request is too large");
            break;
        }
        if (bytes.size() - used - kSizePrefix < static_cast<std::size_t>(size)) break;
        const ByteView frame = bytes.subspan(used + kSizePrefix, static_cast<std::size_t>(size));
        if (!may_start(frame)) {
            is_stalled_ = true;
            break;
        }
        used += kSizePrefix + frame.size();
        start_request(frame, chunk);
        release_in_order();
    }
    return used;
}

bool Connection::may_start(ByteView frame) const {
    if (output_.pending_bytes() > kOutputBytesMax) return false;
    if (first_ == nullptr) return true;
    const std::int16_t key = api_key_of(frame);
    return key == last_api_key_ && queues_up(key) && in_flight_ < kInFlightMax;
}

void Connection::keep_rest(ByteView rest, const ChunkRef& chunk) {
    if (rest.empty()) return;
    std::size_t frame = 0;
    if (rest.size() >= kSizePrefix) frame = kSizePrefix + static_cast<std::size_t>(load_be<std::int32_t>(rest.data()));
    const bool is_whole = frame != 0 && rest.size() >= frame;
    if (frame >= kSharedFrameFrom && !is_whole) {
        // Room for twice what came, or for as much as this client has shown to send.
        const std::size_t earned = std::max({kFirstCapacity, rest.size() * 2, frame_bytes_seen_});
        const std::size_t capacity = std::min(frame, earned);
        kept_ = ChunkRef::allocate(capacity);
        processor_->memory().take(capacity);
        frame_end_ = frame;
    } else {
        if (kept_ && chunk.data() == kept_.data()) {  // already ours: only the place moves
            kept_begin_ = static_cast<std::size_t>(rest.data() - kept_.data());
            kept_end_ = kept_begin_ + rest.size();
            return;
        }
        kept_ = ChunkRef::allocate(rest.size());
    }
    std::memcpy(kept_.data(), rest.data(), rest.size());
    kept_begin_ = 0;
    kept_end_ = rest.size();
}

// Keeps what came behind a frame that may not start yet.
void Connection::keep_behind(ByteView behind) {
    const ByteView before{kept_.data() + kept_begin_, kept_end_ - kept_begin_};
    ChunkRef both = ChunkRef::allocate(before.size() + behind.size());
    std::memcpy(both.data(), before.data(), before.size());
    std::memcpy(both.data() + before.size(), behind.data(), behind.size());
    kept_begin_ = 0;
    kept_end_ = before.size() + behind.size();
    kept_ = std::move(both);
}

// Goes on with frames that had to wait for the answers before them.
void Connection::process_kept() {
    if (!is_stalled_ || is_closed() || is_processing_) return;
    const ChunkRef chunk = kept_;
    const ByteView bytes{chunk.data() + kept_begin_, kept_end_ - kept_begin_};
    kept_begin_ = kept_end_ = 0;
    process(bytes, chunk);
    if (kept_begin_ == kept_end_ && frame_end_ == 0) kept_.reset();
}

void Connection::resume_reading() {
    is_out_of_memory_ = false;
    update_interest();
}

// --- requests

void Connection::start_request(ByteView frame, const ChunkRef& chunk) {
    frame_bytes_seen_ = std::max(frame_bytes_seen_, frame.size() + kSizePrefix);
    note_work(kRequestWork + frame.size() / kReceivedBytesPerWork);
    const bool is_large = frame.size() >= kSharedFrameFrom;
    ChunkRef home = chunk;
    if (!is_large) {
        home = ChunkRef::allocate(frame.size());
        std::memcpy(home.data(), frame.data(), frame.size());
        frame = {home.data(), frame.size()};
    }
    protocol::Reader reader{frame};
    const Result<protocol::RequestHeaderView> header = protocol::decode_request_header(reader);
    if (!header || header->api == nullptr) {
        log::warn("{} from {}: {}. The connection is closed", info_.listener, info_.peer_address,
                  header ? "a request with an unknown API key" : header.error().what);
        return close("a request cannot be read");
    }
    auto* context = new RequestContext{*this, *header, reader.rest(), std::move(home)};
    count_memory(*context, frame.size());
    (first_ == nullptr ? first_ : last_->next_) = context;
    last_ = context;
    ++in_flight_;
    last_api_key_ = header->api_key;
    run_handler(*context);
}

void Connection::count_memory(RequestContext& context, std::size_t bytes) {
    RequestMemory& memory = processor_->memory();
    context.counted_bytes_ = bytes;
    if (bytes >= RequestMemory::kCountedFrom) {
        memory.take(bytes);
    } else if (!small_requests_.add(memory, bytes)) {
        return;
    }
    is_out_of_memory_ = memory.is_exhausted();
    if (is_out_of_memory_) processor_->await_memory(*this);
}

void Connection::give_back_memory(const RequestContext& context) {
    RequestMemory& memory = processor_->memory();
    if (context.counted_bytes_ >= RequestMemory::kCountedFrom) {
        memory.give_back(context.counted_bytes_);
    } else {
        small_requests_.remove(memory, context.counted_bytes_);
    }
}

void Connection::run_handler(RequestContext& context) {
    const Handler handler = find_handler(context);
    if (handler == nullptr) {
        log::warn("{} from {}: {} version {} is not served on this listener. The connection is closed", info_.listener,
                  info_.peer_address, context.header_.api->name, context.version());
        close("an API or version is not served");
        return finish(context);
    }
    context.task_ = handler(context);
    if (context.task_.start(&Connection::on_request_done, &context)) finish(context);
}

void Connection::on_request_done(void* context) {
    auto& done = *static_cast<RequestContext*>(context);
    done.connection_.finish(done);
}

void Connection::finish(RequestContext& context) {
    context.is_finished_ = true;
    if (context.task_.done()) {
        try {
            context.task_.take();
        } catch (const std::exception& thrown) {
            log::error("{} from {}: {} failed: {}. The connection is closed", info_.listener, info_.peer_address,
                       context.header_.api->name, thrown.what());
            close("a request failed");
        }
    }
    if (is_processing_) return;
    const bool is_fetch = context.header_.api_key == static_cast<std::int16_t>(protocol::ApiKey::fetch);
    release_in_order();
    if (is_fetch && may_go_first()) return flush_now();
    if (!is_closed()) {
        if (!output_.empty()) schedule_flush();
        process_kept();
        if (!is_closed()) update_interest();
    }
    destroy_if_unused();
}

// Moves answers that are ready, oldest first, into the output.
void Connection::release_in_order() {
    while (first_ != nullptr && first_->is_finished_) {
        RequestContext* const done = first_;
        first_ = done->next_;
        if (first_ == nullptr) last_ = nullptr;
        --in_flight_;
        if (!is_closed() && !done->answer_.empty()) output_.append(std::move(done->answer_));
        give_back_memory(*done);
        delete done;
    }
}

protocol::Buffer& Connection::begin_answer(RequestContext& context) {
    return &context == first_ ? output_.buffer() : context.answer_.buffer();
}

void Connection::end_answer(RequestContext& context, protocol::Writer& writer) {
    Output& to = &context == first_ ? output_ : context.answer_;
    for (const protocol::Splice& splice : writer.splices()) {
        to.add_slice(splice.position, std::move(context.slices_[splice.external_id]));
    }
}

// --- writing

void Connection::schedule_flush() {
    if (is_flush_scheduled_ || is_blocked_ || is_warming_) return;
    is_flush_scheduled_ = true;
    processor_->reactor().at_end_of_turn(
        [](void* self) {
            auto* connection = static_cast<Connection*>(self);
            connection->is_flush_scheduled_ = false;
            connection->flush_now();
        },
        this);
}

// Afterwards the connection may be another reactor's, or gone.
void Connection::flush_now() {
    flush();
    if (!move_if_asked()) destroy_if_unused();
}

// Records that a consumer waited for leave before the acknowledgement of whoever sent them, once a turn:
// docs/adr/0024-the-consumer-first.md.
bool Connection::may_go_first() {
    if (is_closed() || is_flush_scheduled_ || is_blocked_ || is_warming_ || output_.empty()) return false;
    return output_.pending_bytes() <= kFirstBytesMax && processor_->take_first_place();
}

void Connection::flush() {
    if (is_closed() || is_blocked_ || is_warming_) return;
    const std::size_t pending = output_.pending_bytes();
    const Output::Progress progress = output_.flush(socket_, processor_->reactor().now_ms());
    note_work((pending - output_.pending_bytes()) / kSentBytesPerWork);
    switch (progress) {
        case Output::Progress::done:
            process_kept();
            break;
        case Output::Progress::blocked:
        case Output::Progress::more:
            is_blocked_ = true;
            break;  // EPOLLOUT tells when to go on
        case Output::Progress::cold:
            warm_up();
            break;
        case Output::Progress::failed:
            return close("it cannot be written");
    }
    if (!is_closed()) update_interest();
}

// The pages of a slice have left the cache, or never were there: a thread of their disk reads them, so that the reactor
// need not wait.
void Connection::warm_up() {
    is_warming_ = true;
    io::Reactor& home = processor_->reactor();
    storage::FileSlice cold = output_.next_cold();
    io::BlockingPool& pool = cold.disk != nullptr ? cold.disk->reads() : *processor_->services().pool;
    pool.submit([this, &home, cold = std::move(cold)](io::MayBlock may_block) {
        // A failure shows again when the slice is sent.
        (void)cold.file->read_ahead(may_block, cold.position, cold.length);
        home.call(
            [](void* self) {
                auto* connection = static_cast<Connection*>(self);
                connection->is_warming_ = false;
                if (!connection->is_closed()) {
                    connection->output_.note_warm(connection->processor_->reactor().now_ms());
                    connection->flush();
                }
                connection->destroy_if_unused();
            },
            this);
    });
}

void Connection::update_interest() {
    std::uint32_t wanted = 0;
    // A large frame that has begun holds memory until it is whole: it goes on, or nobody's would ever come free.
    const bool must_go_on = frame_end_ != 0 && first_ == nullptr;
    if (!is_stalled_ && (!is_out_of_memory_ || must_go_on)) wanted |= EPOLLIN;
    if (is_blocked_) wanted |= EPOLLOUT;
    if (wanted == interest_) return;
    interest_ = wanted;
    processor_->reactor().change(socket_, *this, interest_);
}

// --- moving

void Connection::start_watching() {
    interest_ = EPOLLIN;
    processor_->reactor().watch(socket_, *this, interest_);
}

void Connection::move_to(Processor& to) {
    moves_to_ = &to == processor_ ? nullptr : &to;
    move_if_asked();
}

bool Connection::may_move() const {
    return first_ == nullptr && output_.empty() && !is_closed() && !is_stalled_ && !is_blocked_ && !is_out_of_memory_ &&
           !is_flush_scheduled_ && !is_processing_;
}

bool Connection::move_if_asked() {
    if (moves_to_ == nullptr || !may_move()) return false;
    Processor& to = *std::exchange(moves_to_, nullptr);
    if (!processor_->may_move_connections()) return false;
    processor_->reactor().unwatch(socket_, *this);
    processor_->give_away(*this, to);
    return true;
}

void Connection::note_work(std::size_t cost) {
    if (work_window_ != processor_->window()) {
        work_window_ = processor_->window();
        work_ = 0;
    }
    work_ += cost;
}

std::uint64_t Connection::work() const { return work_window_ == processor_->window() ? work_ : 0; }

// --- the end

void Connection::close(std::string_view why) {
    if (is_closed()) return;
    log::debug("{} from {}: closed: {}", info_.listener, info_.peer_address, why);
    processor_->reactor().unwatch(socket_, *this);
    ::close(socket_);
    socket_ = -1;
    if (frame_end_ != 0) processor_->memory().give_back(kept_.capacity());
    kept_.reset();
    kept_begin_ = kept_end_ = frame_end_ = 0;
    processor_->forget(*this);
}

void Connection::destroy_if_unused() {
    if (!is_closed() || first_ != nullptr || is_processing_ || is_flush_scheduled_ || is_warming_) return;
    processor_->bury(*this);
}

}  // namespace odr::server
