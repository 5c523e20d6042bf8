#pragma once

#include "server/connection.h"

#include <gtest/gtest.h>

#include <sys/socket.h>
#include <unistd.h>
#include <atomic>
#include <cerrno>
#include <latch>
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
#include "storage/disk.h"
#include "storage/log_manager.h"

namespace odr::server::testing {

using Bytes = std::vector<std::uint8_t>;

inline constexpr std::int16_t kProduceVersion = 11;
inline constexpr std::int16_t kFetchVersion = 12;

inline Bytes operator+(Bytes left, const Bytes& right) {
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

inline Bytes api_versions(std::int32_t correlation_id) {
    return frame(0, correlation_id, protocol::ApiVersionsRequest{});
}

// One batch with one record of so many bytes.
inline Bytes produce(std::int32_t correlation_id, std::size_t bytes = 10, std::string_view topic = "orders",
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

inline Bytes fetch(std::int32_t correlation_id, std::int64_t offset, std::int32_t wait_ms = 0) {
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
        TestCluster cluster;
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
                                              .topic_id = uuid(id),
                                              .leader_epoch = LeaderEpoch{5},
                                              .config = std::make_shared<const config::LogConfig>(config)}));
    }
    void open_processor(ConnectionLimits limits, std::int64_t memory_bytes_max = 1 << 30) {
        memory_ = std::make_unique<RequestMemory>(memory_bytes_max);
        services_.request_memory = memory_.get();
        processor_ = std::make_unique<Processor>(0, services_, limits, balancer());
    }
    virtual Balancer* balancer() { return nullptr; }

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

    // Waits until all threads of the pool are here at once, so that none is at an earlier job.
    static void drain(io::BlockingPool& pool, std::ptrdiff_t threads) {
        const auto all_here = std::make_shared<std::latch>(threads + 1);
        for (std::ptrdiff_t i = 0; i < threads; ++i) {
            pool.submit([all_here](io::MayBlock) { all_here->arrive_and_wait(); });
        }
        all_here->arrive_and_wait();
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
            for (const auto& log : logs_->all_logs()) {
                drain(log->disk()->waits(), 8);
                drain(log->disk()->commits(), 4);
                drain(log->disk()->small_commits(), 4);
                drain(log->disk()->reads(), 8);
            }
            idle = turn() ? 0 : idle + 1;
        }
    }
    virtual bool turn() { return processor_->reactor().run_ready(); }
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

}  // namespace odr::server::testing
