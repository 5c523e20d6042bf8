#include "server/connection.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <map>
#include <thread>

#include "base/config/broker_config.h"
#include "io/simulated_file_system.h"
#include "metadata/image_holder.h"
#include "protocol/generated/api_versions_request.h"
#include "protocol/generated/fetch_request.h"
#include "protocol/generated/fetch_response.h"
#include "protocol/generated/produce_request.h"
#include "protocol/generated/produce_response.h"
#include "record/record.h"
#include "server/connection_quotas.h"
#include "server/fetch_session.h"
#include "server/handlers/test_cluster.h"
#include "server/processor.h"
#include "server/request_memory.h"
#include "storage/log_manager.h"

namespace odr::server {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::int16_t kProduceVersion = 11;
constexpr std::int16_t kFetchVersion = 12;

Bytes operator+(Bytes left, const Bytes& right) {
    left.insert(left.end(), right.begin(), right.end());
    return left;
}

template <class Request>
Bytes frame(std::int16_t version, std::int32_t correlation_id, const Request& request) {
    protocol::Buffer out;
    protocol::Writer writer{out};
    writer.begin_frame();
    const protocol::ApiInfo& api = *protocol::find_api(Request::kApiKey);
    protocol::encode_request_header(writer, api, version, correlation_id, "test");
    encode(writer, version, request);
    writer.end_frame();
    return {out.data(), out.data() + out.size()};
}

Bytes api_versions(std::int32_t correlation_id) { return frame(0, correlation_id, protocol::ApiVersionsRequest{}); }

// One batch with one record of so many bytes.
Bytes produce(std::int32_t correlation_id, std::size_t bytes = 10, std::string_view topic = "orders",
              std::int16_t acks = 1) {
    record::RecordBatchBuilder builder{{}};
    const std::string value(bytes, 'v');
    builder.append(TimestampMs{1'700'000'000'000}, std::nullopt, as_bytes(value));
    const Bytes batch = *builder.build();
    protocol::ProduceRequest request;
    request.acks = acks;
    request.timeout_ms = 1000;
    auto& wanted = request.topic_data.emplace_back();
    wanted.name = topic;
    wanted.partition_data.emplace_back().records = protocol::Records{ByteView{batch}};
    return frame(kProduceVersion, correlation_id, request);
}

Bytes fetch(std::int32_t correlation_id, std::int64_t offset, std::int32_t wait_ms = 0) {
    protocol::FetchRequest request;
    request.max_wait_ms = wait_ms;
    request.min_bytes = 1;
    request.max_bytes = 64 << 20;
    request.session_epoch = -1;
    auto& topic = request.topics.emplace_back();
    topic.topic = "orders";
    auto& partition = topic.partitions.emplace_back();
    partition.fetch_offset = offset;
    partition.partition_max_bytes = 64 << 20;
    return frame(kFetchVersion, correlation_id, request);
}

// A broker's connections on one reactor that is turned by hand, over simulated files.
class ConnectionTest : public ::testing::Test {
protected:
    ConnectionTest() {
        services_.clock = &clock_;
        services_.config = &config_;
        services_.random = &random_;
        services_.pool = &pool_;
        services_.images = &images_;
        services_.fetch_sessions = &fetch_sessions_;
        services_.connection_quotas = &quotas_;
        std::string reason;
        storage::LogManagerConfig config;
        config.log_dirs = {"/data"};
        config.cluster_id = "cluster";
        auto logs = storage::LogManager::open(io::MayBlock::for_test(), files_, clock_, random_, config, reason);
        EXPECT_TRUE(logs) << reason;
        logs_ = std::move(*logs);
        services_.logs = logs_.get();
        replicas_ = std::make_unique<replication::ReplicaManager>(*logs_, clock_, pool_);
        services_.replicas = replicas_.get();
        testing::TestCluster cluster;
        cluster.broker(1).topic("orders", 1).partition(1, 0, {1}, 1).topic("slow", 2).partition(2, 0, {1}, 1);
        images_.publish(cluster.changes(), cluster.finish());
        lead("orders", 1, {});
        config::LogConfig slow;
        slow.flush_messages = 1;
        lead("slow", 2, slow);
        open_processor({});
    }
    ~ConnectionTest() override {
        replicas_->close_all();
        for (auto& [id, socket] : sockets_) ::close(socket);
        settle();
        EXPECT_EQ(quotas_.count(), 0);
        EXPECT_EQ(memory_->bytes(), 0);
    }

    void lead(std::string_view topic, std::uint8_t id, config::LogConfig config) {
        EXPECT_TRUE(replicas_->become_leader(io::MayBlock::for_test(),
                                             {.topic_partition = {std::string{topic}, PartitionIndex{0}},
                                              .topic_id = testing::uuid(id),
                                              .leader_epoch = LeaderEpoch{5},
                                              .config = std::make_shared<const config::LogConfig>(config)}));
    }
    void open_processor(ConnectionLimits limits, std::int64_t memory_bytes_max = 1 << 30) {
        memory_ = std::make_unique<RequestMemory>(memory_bytes_max);
        services_.request_memory = memory_.get();
        processor_ = std::make_unique<Processor>(0, services_, limits);
    }

    using Id = int;
    Id connect() {
        int ends[2];
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
        EXPECT_EQ(quotas_.admit("PLAINTEXT", "127.0.0.1"), ConnectionQuotas::Verdict::accepted);
        ConnectionInfo info;
        info.listener = "PLAINTEXT";
        info.peer_address = "127.0.0.1";
        processor_->adopt(ends[0], std::move(info));
        settle();
        const Id id = static_cast<Id>(sockets_.size());
        sockets_[id] = ends[1];
        return id;
    }
    void disconnect(Id id) {
        ::close(sockets_[id]);
        sockets_.erase(id);
        settle();
    }
    // As much as the socket takes, the reactor turning meanwhile. Gives: bytes taken.
    std::size_t send(Id id, ByteView bytes) {
        std::size_t sent = 0;
        while (sent < bytes.size()) {
            const ssize_t n = ::send(sockets_[id], bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
            settle();
            if (n <= 0) break;
            sent += static_cast<std::size_t>(n);
        }
        return sent;
    }
    void send_all(Id id, const Bytes& bytes) { EXPECT_EQ(send(id, bytes), bytes.size()); }
    // Reads at most so many bytes into what was received. Gives: false when there is nothing, or the end.
    bool receive(Id id, std::size_t bytes_max = std::size_t{64} << 10) {
        Bytes window(bytes_max);
        const ssize_t n = ::recv(sockets_[id], window.data(), window.size(), 0);
        if (n == 0) is_at_end_[id] = true;
        if (n <= 0) return false;
        window.resize(static_cast<std::size_t>(n));
        received_[id] = std::move(received_[id]) + window;
        settle();
        return true;
    }
    // Reads all there is. Gives: correlation ids of the answers so far.
    std::vector<std::int32_t> answers(Id id) {
        while (receive(id)) {
        }
        std::vector<std::int32_t> ids;
        for (const ByteView each : frames(id)) ids.push_back(load_be<std::int32_t>(each.data()));
        return ids;
    }
    std::vector<ByteView> frames(Id id) {
        std::vector<ByteView> out;
        ByteView rest{received_[id]};
        while (rest.size() >= 4) {
            const auto size = load_be<std::uint32_t>(rest.data());
            if (rest.size() - 4 < size) break;
            out.push_back(rest.subspan(4, size));
            rest = rest.subspan(4 + size);
        }
        return out;
    }
    bool is_closed(Id id) {
        while (receive(id)) {
        }
        return is_at_end_[id];
    }
    std::int64_t base_offset(ByteView answer) {
        protocol::Reader reader{answer};
        const auto& api = protocol::api_info(protocol::ApiKey::produce);
        EXPECT_TRUE(protocol::decode_response_header(reader, api, kProduceVersion));
        const auto response = protocol::decode_message<protocol::ProduceResponse>(reader.rest(), kProduceVersion);
        EXPECT_TRUE(response);
        return response->responses.at(0).partition_responses.at(0).base_offset;
    }
    std::size_t fetched_bytes(ByteView answer) {
        protocol::Reader reader{answer};
        const auto& api = protocol::api_info(protocol::ApiKey::fetch);
        EXPECT_TRUE(protocol::decode_response_header(reader, api, kFetchVersion));
        const auto response = protocol::decode_message<protocol::FetchResponse>(reader.rest(), kFetchVersion);
        EXPECT_TRUE(response);
        return response->responses.at(0).partitions.at(0).records.size();
    }

    // Turns the reactor until nothing is left to do, the pool's work included.
    void settle() {
        for (int idle = 0; idle < 2;) {
            std::atomic<bool> pool_is_empty{false};
            pool_.submit([&](io::MayBlock) {
                pool_is_empty = true;
                pool_is_empty.notify_one();
            });
            pool_is_empty.wait(false);
            idle = processor_->reactor().run_ready() ? 0 : idle + 1;
        }
    }
    void pass(std::int64_t ms) {
        clock_.advance_ms(ms);
        settle();
    }

    const config::BrokerConfig config_ = config::BrokerConfig::load(config::dev_defaults("/data"));
    ManualClock clock_;
    SeededRandom random_{1};
    io::SimulatedFileSystem files_;
    Services services_;
    io::BlockingPool pool_{1};
    ConnectionQuotas quotas_{ConnectionQuotas::Limits{}};
    FetchSessionCache fetch_sessions_{100, random_};
    metadata::ImageHolder images_;
    std::unique_ptr<RequestMemory> memory_;
    std::unique_ptr<storage::LogManager> logs_;
    std::unique_ptr<replication::ReplicaManager> replicas_;
    std::unique_ptr<Processor> processor_;
    std::map<Id, int> sockets_;
    std::map<Id, Bytes> received_;
    std::map<Id, bool> is_at_end_;
};

using Ids = std::vector<std::int32_t>;

// --- frames

TEST_F(ConnectionTest, TwoFramesSplitAnywhereAreAnswered) {
    const Bytes both = api_versions(1) + produce(2);
    for (std::size_t at = 1; at < both.size(); ++at) {
        const Id client = connect();
        send_all(client, Bytes{both.begin(), both.begin() + static_cast<std::ptrdiff_t>(at)});
        send_all(client, Bytes{both.begin() + static_cast<std::ptrdiff_t>(at), both.end()});
        ASSERT_EQ(answers(client), (Ids{1, 2})) << "split at " << at;
    }
}

TEST_F(ConnectionTest, AFrameThatComesByteByByteIsAnswered) {
    const Id client = connect();
    for (const std::uint8_t byte : produce(1)) send_all(client, {byte});
    EXPECT_EQ(answers(client), Ids{1});
}

TEST_F(ConnectionTest, ManyFramesAtOnceAreAnsweredInTheirOrder) {
    const Id client = connect();
    Bytes all;
    Ids expected;
    for (std::int32_t i = 0; i < 500; ++i) {
        all = std::move(all) + (i % 7 == 3 ? fetch(i, 0) : i % 3 == 0 ? api_versions(i) : produce(i));
        expected.push_back(i);
    }
    send_all(client, all);
    EXPECT_EQ(answers(client), expected);
}

TEST_F(ConnectionTest, LargeFramesInOddPiecesAreReadWithWhatFollows) {
    const Id client = connect();
    const Bytes all =
        produce(1, 700'000) + api_versions(2) + produce(3, 40'000) + produce(4, 300'000) + api_versions(5);
    for (std::size_t at = 0; at < all.size(); at += 10'007) {
        const std::size_t end = std::min(all.size(), at + 10'007);
        send_all(client,
                 Bytes{all.begin() + static_cast<std::ptrdiff_t>(at), all.begin() + static_cast<std::ptrdiff_t>(end)});
    }
    EXPECT_EQ(answers(client), (Ids{1, 2, 3, 4, 5}));
    EXPECT_EQ(memory_->bytes(), 0);
}

TEST_F(ConnectionTest, AClaimOfManyBytesTakesNoMemoryBeforeTheyCome) {
    const Id client = connect();
    send_all(client, {0x06, 0, 0, 0, 0, 0, 0, 11});
    EXPECT_LE(memory_->bytes(), 128 << 10);
    EXPECT_FALSE(is_closed(client));
}

TEST_F(ConnectionTest, AFrameOverTheLimitClosesTheConnection) {
    open_processor({.request_bytes_max = 1000});
    const Id client = connect();
    send_all(client, api_versions(1) + Bytes{0, 0, 0x03, 0xe9});
    EXPECT_TRUE(is_closed(client));
    const Id other = connect();
    send_all(other, Bytes{0, 0, 0x03, 0xe8});
    EXPECT_FALSE(is_closed(other));
}

TEST_F(ConnectionTest, ANegativeSizeClosesTheConnection) {
    const Id client = connect();
    send_all(client, {0xff, 0xff, 0xff, 0xff});
    EXPECT_TRUE(is_closed(client));
}

TEST_F(ConnectionTest, AFrameThatIsNoRequestClosesTheConnection) {
    for (const Bytes& bad :
         {Bytes{0, 0, 0, 0}, Bytes{0, 0, 0, 1, 9}, Bytes{0, 0, 0, 8, 0x7f, 0xff, 0, 0, 0, 0, 0, 1}}) {
        const Id client = connect();
        send_all(client, bad);
        EXPECT_TRUE(is_closed(client));
    }
}

// --- the order of requests

TEST_F(ConnectionTest, ABurstOfProduceRequestsKeepsItsOrderInTheLogAndInTheAnswers) {
    const Id client = connect();
    send_all(client, produce(1) + produce(2) + produce(3) + api_versions(4) + produce(5));
    EXPECT_EQ(answers(client), (Ids{1, 2, 3, 4, 5}));
    const auto all = frames(client);
    for (const std::size_t i : {0, 1, 2}) EXPECT_EQ(base_offset(all[i]), static_cast<std::int64_t>(i));
    EXPECT_EQ(base_offset(all[4]), 3);
}

TEST_F(ConnectionTest, AnAnswerThatIsReadyWaitsForThoseBeforeIt) {
    const Id client = connect();
    send_all(client, produce(1, 10, "slow") + produce(2) + produce(3, 10, "slow") + produce(4) + api_versions(5));
    EXPECT_EQ(answers(client), (Ids{1, 2, 3, 4, 5}));
}

TEST_F(ConnectionTest, WhatComesBehindAWaitingFetchWaits) {
    const Id client = connect();
    send_all(client, fetch(1, 0, 500) + api_versions(2));
    EXPECT_EQ(answers(client), Ids{});
    pass(500);
    EXPECT_EQ(answers(client), (Ids{1, 2}));
}

TEST_F(ConnectionTest, AnAppendOfAnotherConnectionWakesAWaitingFetch) {
    const Id reader = connect();
    const Id writer = connect();
    send_all(reader, fetch(1, 0, 500) + api_versions(2));
    send_all(writer, produce(1));
    EXPECT_EQ(answers(reader), (Ids{1, 2}));
    EXPECT_GT(fetched_bytes(frames(reader)[0]), 0U);
}

TEST_F(ConnectionTest, ProduceWithoutAcksHasNoAnswerAndAnErrorClosesTheConnection) {
    const Id client = connect();
    send_all(client, produce(1, 10, "orders", 0) + produce(2));
    EXPECT_EQ(answers(client), Ids{2});
    EXPECT_EQ(base_offset(frames(client)[0]), 1);
    send_all(client, produce(3, 10, "missing", 0) + produce(4));
    EXPECT_TRUE(is_closed(client));
    EXPECT_EQ(answers(client), Ids{2});
}

// --- the end of a connection

TEST_F(ConnectionTest, APeerThatGoesAnywhereWithinAFrameIsForgotten) {
    const Bytes whole = produce(1);
    for (std::size_t at = 0; at < whole.size(); ++at) {
        const Id client = connect();
        send_all(client, Bytes{whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(at)});
        disconnect(client);
        ASSERT_EQ(quotas_.count(), 0) << "gone after " << at << " bytes";
    }
    const Id client = connect();
    Bytes large = produce(1, 500'000);
    large.resize(300'000);
    send_all(client, large);
    EXPECT_GT(memory_->bytes(), 0);
    disconnect(client);
    EXPECT_EQ(memory_->bytes(), 0);
}

TEST_F(ConnectionTest, APeerThatGoesWhileItsFetchWaitsLeavesAtOnceAndTheFetchEndsLater) {
    const Id client = connect();
    send_all(client, fetch(1, 0, 500));
    disconnect(client);
    EXPECT_EQ(quotas_.count(), 0);
    pass(500);
}

TEST_F(ConnectionTest, DeletingAPartitionAnswersTheFetchesThatWaitOnIt) {
    const Id client = connect();
    send_all(client, fetch(1, 0, 500));
    EXPECT_TRUE(replicas_->remove(io::MayBlock::for_test(), {testing::uuid(1), PartitionIndex{0}}, true));
    settle();
    EXPECT_EQ(answers(client), Ids{1});
    EXPECT_EQ(fetched_bytes(frames(client)[0]), 0U);
}

TEST_F(ConnectionTest, StoppingClosesTheConnectionsOfRequestsInFlightToo) {
    const Id idle = connect();
    const Id waiting = connect();
    const Id halfway = connect();
    send_all(waiting, fetch(1, 0, 500) + api_versions(2));
    send_all(halfway, Bytes{0, 0});
    processor_->start();
    std::thread stopper{[this] { processor_->stop(); }};
    while (quotas_.count() > 0) std::this_thread::yield();  // closed, and the fetch still waits
    replicas_->close_all();
    stopper.join();
    for (const Id each : {idle, waiting, halfway}) EXPECT_TRUE(is_closed(each));
    EXPECT_EQ(quotas_.count(), 0);
}

// --- backpressure

TEST_F(ConnectionTest, AnAnswerLargerThanTheSocketsBufferArrivesWhole) {
    const Id client = connect();
    for (int i = 0; i < 5; ++i) send_all(client, produce(i, 900'000));
    send_all(client, fetch(5, 0) + api_versions(6));
    while (receive(client, 1009)) {
    }
    EXPECT_EQ(answers(client), (Ids{0, 1, 2, 3, 4, 5, 6}));
    EXPECT_GT(fetched_bytes(frames(client)[5]), 4'500'000U);
}

TEST_F(ConnectionTest, AClientThatDoesNotReadIsNotServedOnAndOn) {
    const Id client = connect();
    constexpr std::int32_t kMany = 200'000;
    Bytes requests;
    for (std::int32_t i = 0; i < kMany; ++i) {
        const Bytes one = api_versions(i);
        requests.insert(requests.end(), one.begin(), one.end());
    }
    std::size_t sent = send(client, requests);
    EXPECT_LT(sent, requests.size() / 2) << "the server takes requests of a client that reads nothing";
    while (sent < requests.size() || receive(client, std::size_t{1} << 20)) {
        receive(client, std::size_t{1} << 20);
        sent += send(client, ByteView{requests}.subspan(sent));
    }
    const Ids ids = answers(client);
    ASSERT_EQ(ids.size(), static_cast<std::size_t>(kMany));
    for (std::int32_t i = 0; i < kMany; ++i) ASSERT_EQ(ids[static_cast<std::size_t>(i)], i);
}

TEST_F(ConnectionTest, MemoryHeldByHalfAFrameDoesNotKeepItsOwnConnectionWaiting) {
    open_processor({}, 64 << 10);
    const Id first = connect();
    const Id second = connect();
    const Bytes large = produce(2, 100'000);
    const auto half = large.begin() + 50'000;
    send_all(second, Bytes{large.begin(), half});
    send_all(first, produce(1, 40'000) + Bytes{large.begin(), half});
    send_all(second, Bytes{half, large.end()});
    EXPECT_EQ(answers(second), Ids{2});
    send_all(first, Bytes{half, large.end()});
    pass(10);
    EXPECT_EQ(answers(first), (Ids{1, 2}));
}

}  // namespace
}  // namespace odr::server
