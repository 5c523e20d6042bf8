#include "server/log_directories.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "controller/test_node.h"

// What becomes of the node when log directories fail.
namespace odr::server {
namespace {

constexpr std::int64_t kFailureTimeoutMs = 30'000;

// A broker with /a and /b, a controller that runs, and what was fatal.
class LogDirectoriesTest : public testing::Test {
protected:
    LogDirectoriesTest() {
        std::string reason;
        storage::LogManagerConfig config;
        config.log_dirs = {"/a", "/b"};
        config.node_id = BrokerId{1};
        config.cluster_id = "cluster";
        logs_ = std::move(*storage::LogManager::open(kMayBlock, files_, clock_, random_, config, reason));
        EXPECT_TRUE(logs_->load_logs(kMayBlock, [this](const std::string&) { return settings_; }, {}));
        replicas_ = std::make_unique<replication::ReplicaManager>(*logs_, clock_, pool_);
        for (const storage::LogDirInfo& each : logs_->log_dirs()) node_.directories.push_back(each.directory_id);
        node_.start_with_broker();
    }
    ~LogDirectoriesTest() override {
        if (directories_) directories_->stop();
    }

    // `epoch`: as which the broker speaks; the controller does not listen to another than the one it gave.
    void start(std::int64_t epoch, const std::string& metadata_log_dir = "/elsewhere") {
        directories_ = std::make_unique<LogDirectories>(
            *logs_, *replicas_, images_, clock_,
            LogDirectories::Options{
                .self = BrokerId{1}, .metadata_log_dir = metadata_log_dir, .failure_timeout_ms = kFailureTimeoutMs},
            [this](const std::string& line) {
                std::lock_guard guard{mutex_};
                fatal_.push_back(line);
                changed_.notify_all();
            });
        directories_->start(node_.controller(), BrokerEpoch{epoch});
    }
    void fail_directory(const std::string& path) {
        logs_->set_offline(path, {ErrorCode::kafka_storage_error, EIO, "test"});
    }
    // The first line of why the node stops.
    std::string await_fatal() {
        std::unique_lock guard{mutex_};
        changed_.wait_for(guard, std::chrono::seconds{60}, [&] { return !fatal_.empty(); });
        return fatal_.empty() ? "" : fatal_.front();
    }
    std::size_t fatal_count() {
        std::lock_guard guard{mutex_};
        return fatal_.size();
    }
    // Whether the controller comes to know the directory as offline.
    bool await_offline(const Uuid& directory) {
        const std::int64_t until = system_clock().monotonic_ms() + 60'000;
        while (system_clock().monotonic_ms() < until) {
            (void)node_.heartbeat();  // waits for its turn behind what was asked before
            const auto& online = node_.image()->cluster().broker(BrokerId{1})->directories;
            if (std::ranges::find(online, directory) == online.end()) return true;
        }
        return false;
    }
    Uuid id_of(const std::string& path) {
        for (const storage::LogDirInfo& each : logs_->log_dirs()) {
            if (each.path == path) return each.directory_id;
        }
        return {};
    }

    const io::MayBlock kMayBlock = io::MayBlock::for_test();
    io::SimulatedFileSystem files_;
    ManualClock clock_;
    SeededRandom random_{1};
    io::BlockingPool pool_{1};
    std::shared_ptr<const config::LogConfig> settings_ = std::make_shared<const config::LogConfig>();
    controller::TestNode node_;
    metadata::ImageHolder images_;
    std::unique_ptr<storage::LogManager> logs_;
    std::unique_ptr<replication::ReplicaManager> replicas_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::string> fatal_;  // under mutex_
    std::unique_ptr<LogDirectories> directories_;
};

TEST_F(LogDirectoriesTest, TheNodeGoesOnWithoutADirectoryOfWhichTheControllerHasHeard) {
    start(node_.epoch_of());
    fail_directory("/b");
    ASSERT_TRUE(await_offline(id_of("/b")));
    clock_.advance_ms(kFailureTimeoutMs * 2);
    fail_directory("/a");
    EXPECT_EQ(await_fatal(), "all log directories have failed, /a last. The node stops");
}

TEST_F(LogDirectoriesTest, TheNodeStopsWhenTheControllerCannotBeToldOfAFailureInTime) {
    start(node_.epoch_of() + 1);
    fail_directory("/b");
    clock_.advance_ms(kFailureTimeoutMs - 1);
    EXPECT_EQ(fatal_count(), 0U);
    clock_.advance_ms(1);
    EXPECT_EQ(await_fatal(),
              "the controller could not be told of a failed log directory within log.dir.failure.timeout.ms, and would "
              "go on sending clients here. The node stops");
}

TEST_F(LogDirectoriesTest, TheNodeStopsWhenTheMetadataLogsDirectoryFails) {
    start(node_.epoch_of(), "/b");
    fail_directory("/b");
    EXPECT_EQ(await_fatal(), "the log directory /b failed, which holds the metadata log. The node stops");
}

}  // namespace
}  // namespace odr::server
