#include "floor/produce_frames.h"

#include <cstdlib>
#include <cstring>

#include "base/crc32c.h"
#include "load/payload.h"
#include "protocol/generated/produce_request.h"
#include "protocol/generated/produce_response.h"

namespace odr::bench {

using namespace protocol;

namespace {

constexpr std::size_t kFrameBytesMax = 512 << 10;

}  // namespace

ProduceFrames::ProduceFrames(const FloorProduce& options, int file) : options_{options}, file_{file} { make_answer(); }

std::size_t ProduceFrames::take(ByteView bytes, std::vector<std::uint8_t>& answers) {
    if (bytes.size() < 4) return 0;
    const std::size_t size = load_be<std::uint32_t>(bytes.data());
    if (size > kFrameBytesMax || bytes.size() < 4 + size) return 0;
    const Shape& shape = shape_of(bytes.first(4 + size));
    const ByteView batch = bytes.subspan(shape.batch_at, shape.batch_bytes);
    if (options_.checks_crc && crc32c(batch.subspan(21)) != load_be<std::uint32_t>(batch.data() + 17)) ::abort();
    pieces_.push_back({const_cast<std::uint8_t*>(batch.data()), batch.size()});
    if (options_.writes_each) write_pieces();
    std::memcpy(answer_.data() + 4, bytes.data() + 8, 4);
    answers.insert(answers.end(), answer_.begin(), answer_.end());
    return 4 + size;
}

const ProduceFrames::Shape& ProduceFrames::shape_of(ByteView frame) {
    auto [found, is_new] = shapes_.try_emplace(frame.size());
    if (!is_new) return found->second;
    Reader reader{frame.subspan(4)};
    ProduceRequest request;
    if (!decode_request_header(reader) || !decode(reader, kProduceVersion, request)) ::abort();
    const ByteView batch = request.topic_data.at(0).partition_data.at(0).records.bytes();
    found->second = {.batch_at = static_cast<std::size_t>(batch.data() - frame.data()), .batch_bytes = batch.size()};
    return found->second;
}

void ProduceFrames::write_pieces() {
    constexpr std::size_t kPiecesPerWrite = 512;
    for (std::size_t i = 0; i < pieces_.size(); i += kPiecesPerWrite) {
        const auto count = static_cast<int>(std::min(kPiecesPerWrite, pieces_.size() - i));
        const ssize_t written = ::pwritev(file_, pieces_.data() + i, count, position_);
        if (written < 0) ::abort();
        position_ += written;
        if (position_ > options_.file_bytes_max) position_ = 0;
    }
    pieces_.clear();
}

void ProduceFrames::make_answer() {
    ProduceResponse response;
    response.responses.emplace_back().partition_responses.emplace_back();
    Buffer out;
    Writer writer{out};
    writer.begin_frame();
    encode_response_header(writer, *find_api(ProduceRequest::kApiKey), kProduceVersion, 0);
    encode(writer, kProduceVersion, response);
    writer.end_frame();
    answer_.assign(out.data(), out.data() + out.size());
}

}  // namespace odr::bench
