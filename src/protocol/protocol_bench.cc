// Decoding and encoding of what a broker sees most: small Produce and Fetch requests, and their answers.
#include <benchmark/benchmark.h>

#include "protocol/generated/fetch_request.h"
#include "protocol/generated/fetch_response.h"
#include "protocol/generated/metadata_response.h"
#include "protocol/generated/produce_request.h"
#include "protocol/generated/produce_response.h"
#include "protocol/headers.h"

namespace odr::protocol {
namespace {

constexpr std::uint8_t kBatch[168] = {};  // one record of 100 bytes

ProduceRequest produce_request() {
    ProduceRequest request;
    request.acks = -1;
    request.timeout_ms = 30'000;
    auto& topic = request.topic_data.emplace_back();
    topic.topic_id.bytes[0] = 1;
    topic.partition_data.emplace_back().records = Records{kBatch};
    return request;
}

FetchRequest fetch_request(int partitions) {
    FetchRequest request;
    request.max_wait_ms = 500;
    request.min_bytes = 1;
    auto& topic = request.topics.emplace_back();
    topic.topic_id.bytes[0] = 1;
    for (int i = 0; i < partitions; ++i) topic.partitions.emplace_back().partition = i;
    return request;
}

template <class Message>
void decode_loop(benchmark::State& state, const Message& message, std::int16_t version) {
    Buffer frame;
    encode_message(frame, version, message);
    for (auto _ : state) {
        Reader in{frame};
        Message out;
        if (!decode(in, version, out)) return state.SkipWithError("must decode, or we time the refusal");
        benchmark::DoNotOptimize(out);
    }
    state.counters["frame_bytes"] = static_cast<double>(frame.size());
}

template <class Message>
void encode_loop(benchmark::State& state, const Message& message, std::int16_t version) {
    Buffer out;
    for (auto _ : state) {
        out.clear();
        Writer writer{out};
        encode(writer, version, message);
        benchmark::DoNotOptimize(out.data());
    }
    if (out.empty()) state.SkipWithError("must write something");
}

void BM_DecodeRequestHeader(benchmark::State& state) {
    Buffer frame;
    Writer writer{frame};
    encode_request_header(writer, api_info(ApiKey::produce), 13, 1, "producer-1");
    for (auto _ : state) {
        Reader in{frame};
        const auto header = decode_request_header(in);
        if (!header) return state.SkipWithError("must decode");
        benchmark::DoNotOptimize(*header);
    }
}
BENCHMARK(BM_DecodeRequestHeader);

void BM_DecodeProduceV13(benchmark::State& state) { decode_loop(state, produce_request(), 13); }
BENCHMARK(BM_DecodeProduceV13);

void BM_DecodeFetchV17(benchmark::State& state) {
    decode_loop(state, fetch_request(static_cast<int>(state.range(0))), 17);
}
BENCHMARK(BM_DecodeFetchV17)->Arg(0)->Arg(1)->Arg(100);

void BM_EncodeProduceResponseV13(benchmark::State& state) {
    ProduceResponse response;
    response.responses.emplace_back().partition_responses.emplace_back();
    encode_loop(state, response, 13);
}
BENCHMARK(BM_EncodeProduceResponseV13);

void BM_EncodeFetchResponseV17(benchmark::State& state) {
    FetchResponse response;
    auto& topic = response.responses.emplace_back();
    for (int i = 0; i < state.range(0); ++i) {
        topic.partitions.emplace_back().records = Records::external(static_cast<std::uint64_t>(i), 1000);
    }
    encode_loop(state, response, 17);
}
BENCHMARK(BM_EncodeFetchResponseV17)->Arg(1)->Arg(100);

void BM_EncodeMetadataResponseV13(benchmark::State& state) {
    MetadataResponse response;
    for (int i = 0; i < state.range(0); ++i) {
        auto& partition = response.topics.emplace_back().partitions.emplace_back();
        partition.replica_nodes = {1, 2, 3};
        partition.isr_nodes = {1, 2, 3};
    }
    encode_loop(state, response, 13);
}
BENCHMARK(BM_EncodeMetadataResponseV13)->Arg(1000);

}  // namespace
}  // namespace odr::protocol
