#pragma once

#include <fmt/format.h>

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/config/broker_config.h"
#include "controller/controller.h"
#include "controller/messages.h"
#include "io/simulated_file_system.h"
#include "metadata/image_holder.h"
#include "metadata/image_writer.h"
#include "metadata/metadata_loader.h"
#include "raft/metadata_log.h"

namespace odr::controller {

// A node's metadata part on simulated files: log, loader, controller. For tests.
class TestNode {
public:
    static constexpr std::int32_t kBroker = 1;
    config::ConfigMap properties = {
        {"node.id", "1"},
        {"process.roles", "broker,controller"},
        {"log.dirs", "/logs"},
        {"controller.quorum.voters", "1@localhost:9093"},
        {"controller.listener.names", "CONTROLLER"},
        {"listeners", "PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093"},
    };
    std::size_t queued_requests_max = 10'000;
    std::vector<Uuid> directories = {Uuid{{7, 7}}};
    io::SimulatedFileSystem files;
    ManualClock clock;
    SeededRandom random{42};

    TestNode() {
        EXPECT_TRUE(files.create_directories("/logs"));
        EXPECT_TRUE(files.sync_directory(io::MayBlock::for_test(), "/"));
    }
    ~TestNode() { stop(); }

    // Kills what runs, without a word to anybody, and starts anew on the same files.
    Result<void> start() {
        stop();
        const io::MayBlock may_block = io::MayBlock::for_test();
        raft::MetadataLogOptions options;
        options.directory = "/logs";
        options.self = {BrokerId{1}, Uuid{{1, 2, 3}}};
        options.static_voters = *raft::parse_static_voters("1@localhost:9093", "CONTROLLER");
        holder_ = std::make_unique<metadata::ImageHolder>();
        loader_ = std::make_unique<metadata::MetadataLoader>(*holder_);
        ODR_TRY(log, raft::MetadataLog::open(may_block, files, clock, std::move(options)));
        log_ = std::move(log);
        ODR_CHECK(log_->register_listener(may_block, *loader_));
        ODR_CHECK(log_->become_leader(may_block));
        ControllerOptions given;
        given.config = std::make_shared<config::BrokerConfig>(*config::BrokerConfig::make(properties));
        given.cluster_id = "cluster";
        given.listeners = {{"CONTROLLER", "localhost", 9093, 0}};
        given.bootstrap = *metadata::read_bootstrap(may_block, files, "/logs");
        metadata::FeatureLevels levels;
        for (const auto& feature : metadata::supported_features())
            levels[std::string{feature.name}] = feature.default_level;
        given.bootstrap.records = metadata::feature_records(metadata::kMetadataVersionLatest, levels);
        given.embedded_broker = BrokerId{kBroker};
        given.queued_requests_max = queued_requests_max;
        given.on_fatal = [this](const Error& error) {
            const std::lock_guard lock{mutex_};
            fatal_.push_back(error);
        };
        controller_ = std::make_unique<Controller>(*log_, *loader_, clock, random, std::move(given));
        return controller_->start(may_block);
    }
    // Start, register the broker and unfence it.
    void start_with_broker() {
        ASSERT_TRUE(start());
        ASSERT_EQ(register_broker().error_code, 0);
        ASSERT_FALSE(heartbeat().is_fenced);
    }
    void stop() {
        controller_.reset();
        log_.reset();
    }

    template <class Request>
    std::future<Result<Answer<ResponseOf<Request>>>> submit(Request request,
                                                            std::int16_t version = Request::kMaxVersion) {
        auto promise = std::make_shared<std::promise<Result<Answer<ResponseOf<Request>>>>>();
        auto future = promise->get_future();
        controller_->submit({.api_version = version}, std::move(request),
                            [promise](auto answer) { promise->set_value(std::move(answer)); });
        return future;
    }
    template <class Request>
    Result<Answer<ResponseOf<Request>>> call(Request request, std::int16_t version = Request::kMaxVersion) {
        return submit(std::move(request), version).get();
    }

    protocol::BrokerRegistrationResponse register_broker(std::int32_t id = kBroker, std::uint8_t incarnation = 0,
                                                         std::int64_t previous_epoch = -1) {
        protocol::BrokerRegistrationRequest request;
        request.broker_id = id;
        request.cluster_id = "cluster";
        request.incarnation_id =
            Uuid{{static_cast<std::uint8_t>(id), incarnation == 0 ? ++incarnations_ : incarnation}};
        request.previous_broker_epoch = previous_epoch;
        request.rack = std::nullopt;
        request.log_dirs = directories;
        if (id != kBroker) request.log_dirs = {Uuid{{static_cast<std::uint8_t>(100 + id)}}};
        request.listeners.push_back({"PLAINTEXT", "localhost", 9092, 0});
        for (const auto& feature : metadata::supported_features())
            request.features.push_back({feature.name, feature.min, feature.max});
        const auto answer = call(request);
        EXPECT_TRUE(answer.has_value());
        if (answer->response.error_code == 0) epochs_[id] = answer->response.broker_epoch;
        return answer->response;
    }
    protocol::BrokerHeartbeatRequest heartbeat_request(std::int32_t id = kBroker) {
        protocol::BrokerHeartbeatRequest request;
        request.broker_id = id;
        request.broker_epoch = epochs_[id];
        request.current_metadata_offset = image()->offset().raw();
        request.cordoned_log_dirs.emplace();
        return request;
    }
    protocol::BrokerHeartbeatResponse heartbeat(std::int32_t id = kBroker) { return heartbeat(heartbeat_request(id)); }
    protocol::BrokerHeartbeatResponse heartbeat(const protocol::BrokerHeartbeatRequest& request) {
        const auto answer = call(request);
        EXPECT_TRUE(answer.has_value());
        return answer ? answer->response : protocol::BrokerHeartbeatResponse{};
    }
    // As a broker at SIGTERM: until it may go.
    void shut_down_broker() {
        auto request = heartbeat_request();
        request.want_shut_down = true;
        for (int i = 0; i < 5; ++i) {
            request.current_metadata_offset = image()->offset().raw();
            if (heartbeat(request).should_shut_down) return;
        }
        ADD_FAILURE() << "the broker may not shut down";
    }

    static protocol::CreateTopicsRequest topic(std::string_view name, std::int32_t partitions = 1,
                                               std::int16_t replication_factor = 1) {
        protocol::CreateTopicsRequest request;
        auto& topic = request.topics.emplace_back();
        topic.name = name;
        topic.num_partitions = partitions;
        topic.replication_factor = replication_factor;
        return request;
    }
    void create_topic(std::string_view name, std::int32_t partitions = 1) {
        const auto answer = call(topic(name, partitions));
        ASSERT_TRUE(answer.has_value());
        ASSERT_EQ(answer->response.topics[0].error_code, 0) << answer->response.topics[0].error_message.value_or("");
    }

    std::shared_ptr<const metadata::MetadataImage> image() const { return holder_->current(); }
    const metadata::PartitionRegistration* partition(std::string_view topic, std::int32_t index = 0) {
        return image()->topics().partition(topic, PartitionIndex{index});
    }
    std::string describe(std::string_view topic, std::int32_t index = 0) {
        const auto* at = partition(topic, index);
        if (at == nullptr) return "none";
        const auto ids = [](const std::vector<BrokerId>& all) {
            std::string text;
            for (const BrokerId id : all) text += fmt::format("{}{}", text.empty() ? "" : ",", id);
            return text;
        };
        return fmt::format("leader={} epoch={} isr=[{}] elr=[{}] last=[{}] recovering={}", at->leader, at->leader_epoch,
                           ids(at->isr), ids(at->elr), ids(at->last_known_elr),
                           at->leader_recovery_state == metadata::LeaderRecoveryState::recovering);
    }
    // The whole state, as records.
    std::string state() const {
        std::string text;
        const auto records = metadata::image_records(*image());
        EXPECT_TRUE(records.has_value());
        for (std::size_t i = 0; i < records->size(); ++i) text += as_text((*records)[i]);
        return text;
    }
    raft::MetadataLog& log() { return *log_; }
    std::int64_t epoch_of(std::int32_t id = kBroker) { return epochs_[id]; }
    std::vector<Error> fatal() {
        const std::lock_guard lock{mutex_};
        return fatal_;
    }
    Controller& controller() { return *controller_; }

private:
    std::unique_ptr<metadata::ImageHolder> holder_;
    std::unique_ptr<metadata::MetadataLoader> loader_;
    std::unique_ptr<raft::MetadataLog> log_;
    std::unique_ptr<Controller> controller_;
    std::map<std::int32_t, std::int64_t> epochs_;
    std::uint8_t incarnations_ = 0;
    std::mutex mutex_;
    std::vector<Error> fatal_;
};

inline std::string_view error_name(std::int16_t code) { return to_string(static_cast<ErrorCode>(code)); }

}  // namespace odr::controller
