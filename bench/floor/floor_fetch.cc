// floor-fetch DIR [BYTES]: answers Fetch requests from one file of equal batches with sendfile. What reading out of the
// page cache costs at least. A thread for each connection.
#include <fcntl.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <thread>

#include "load/payload.h"
#include "protocol/generated/fetch_request.h"
#include "protocol/generated/fetch_response.h"

namespace odr::bench {
namespace {

using namespace protocol;

constexpr std::int64_t kDefaultFileBytes = std::int64_t{1} << 30;
constexpr std::size_t kInputBytes = 4096;

// Batches of 64 KiB with offsets that follow each other, as a log has them.
struct BatchFile {
    Socket file;
    std::int64_t batch_bytes = 0;
    std::int64_t records_per_batch = 0;
    std::int64_t batches = 0;

    static Result<BatchFile> make(const char* dir, std::int64_t bytes) {
        BatchFile made{.file = Socket{::open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)}};
        if (made.file.fd() < 0) return fail_errno(ErrorCode::kafka_storage_error, errno, "a file without a name");
        ODR_TRY(batch, make_batch({}));
        made.batch_bytes = static_cast<std::int64_t>(batch.bytes.size());
        made.records_per_batch = batch.record_count;
        for (; made.batches * made.batch_bytes < bytes; ++made.batches) {
            store_be(batch.bytes.data(), made.batches * made.records_per_batch);
            if (::write(made.file.fd(), batch.bytes.data(), batch.bytes.size()) < 0) {
                return fail_errno(ErrorCode::kafka_storage_error, errno, "write");
            }
        }
        return made;
    }
};

Result<void> send_file(int to, int from, off_t position, std::size_t bytes) {
    while (bytes > 0) {
        const ssize_t sent = ::sendfile(to, from, &position, bytes);
        if (sent <= 0) return fail_errno(ErrorCode::network_exception, errno, "sendfile");
        bytes -= static_cast<std::size_t>(sent);
    }
    return {};
}

// A request, with one call as a rule. Requests follow their answers, so nothing comes behind one.
Result<ByteView> receive_frame(const Socket& socket, MutableByteView input) {
    constexpr std::size_t kSizePrefix = 4;
    std::size_t filled = 0;
    for (;;) {
        const ssize_t got = ::recv(socket.fd(), input.data() + filled, input.size() - filled, 0);
        if (got <= 0) return fail_errno(ErrorCode::network_exception, errno, "recv");
        filled += static_cast<std::size_t>(got);
        if (filled < kSizePrefix) continue;
        const std::size_t size = kSizePrefix + load_be<std::uint32_t>(input.data());
        if (size > input.size()) return fail(ErrorCode::invalid_request, "a large request");
        if (filled >= size) return ByteView{input}.subspan(kSizePrefix, size - kSizePrefix);
    }
}

Result<void> answer_one(const Socket& socket, const BatchFile& batches, MutableByteView input) {
    ODR_TRY(frame, receive_frame(socket, input));
    Reader reader{frame};
    ODR_TRY(header, decode_request_header(reader));
    FetchRequest request;
    ODR_CHECK(decode(reader, kFetchVersion, request));
    const auto& wanted = request.topics.at(0).partitions.at(0);

    const std::int64_t first = wanted.fetch_offset / batches.records_per_batch;
    const std::int64_t left = (batches.batches - first) * batches.batch_bytes;
    const auto bytes = static_cast<std::uint32_t>(std::min<std::int64_t>(left, wanted.partition_max_bytes));
    FetchResponse response;
    auto& topic = response.responses.emplace_back();
    topic.topic_id = request.topics[0].topic_id;
    auto& partition = topic.partitions.emplace_back();
    partition.high_watermark = batches.batches * batches.records_per_batch;
    partition.records = Records::external(1, bytes);
    Buffer out;
    Writer writer{out};
    writer.begin_frame();
    encode_response_header(writer, *find_api(FetchRequest::kApiKey), kFetchVersion, header.correlation_id);
    encode(writer, kFetchVersion, response);
    writer.end_frame();
    const std::size_t cut = writer.splices().at(0).position;
    // As the broker does, without MSG_MORE: docs/adr/0010-no-msg-more.md.
    if (::send(socket.fd(), out.data(), cut, MSG_NOSIGNAL) < 0) {
        return fail_errno(ErrorCode::network_exception, errno, "send");
    }
    ODR_CHECK(send_file(socket.fd(), batches.file.fd(), first * batches.batch_bytes, bytes));
    return socket.send_all(out.view().subspan(cut));
}

Result<void> serve(const char* dir, std::int64_t bytes) {
    ODR_TRY(batches, BatchFile::make(dir, bytes));
    ODR_TRY(listener, Socket::listen(0));
    fmt::print("port {}\n", listener.local_port());
    std::fflush(stdout);
    for (;;) {
        const int fd = ::accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC);
        if (fd < 0) continue;
        const int one = 1;
        ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        std::thread{[fd, &batches] {
            const Socket socket{fd};
            std::vector<std::uint8_t> input(kInputBytes);
            while (answer_one(socket, batches, input)) {
            }
        }}.detach();
    }
}

}  // namespace
}  // namespace odr::bench

int main(int argc, char** argv) {
    const std::int64_t bytes = argc > 2 ? std::atoll(argv[2]) : odr::bench::kDefaultFileBytes;
    const auto done = odr::bench::serve(argc > 1 ? argv[1] : ".", bytes);
    fmt::print(stderr, "floor-fetch: {}\n", done.error().what);
    return 1;
}
