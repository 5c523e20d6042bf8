#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/config/broker_config.h"
#include "controller/controller.h"
#include "metadata/image_holder.h"
#include "replication/replica_manager.h"
#include "storage/log_manager.h"
#include "storage/log_mover.h"

namespace odr::server {

// Where the metadata say that `self` keeps a partition. nullopt: nowhere that is known.
std::optional<Uuid> directory_in(const metadata::MetadataImage& image, const storage::TopicPartition& partition,
                                 BrokerId self);

// What happens to log directories while the broker runs: one that failed goes offline with its partitions and the
// controller is told; cordoned ones are told too; logs move between them.
//
// Owner:   the server. Threads: two of its own between start() and stop(), one for failures and reports, one that
//          copies; the functions from any.
// Kafka:   ReplicaManager.handleLogDirFailure, BrokerLifecycleManager, ReplicaAlterLogDirsManager.
class LogDirectories {
public:
    struct Options {
        BrokerId self{0};
        std::string metadata_log_dir;
        std::int64_t failure_timeout_ms = 30'000;  // log.dir.failure.timeout.ms
        storage::LogCleaner* cleaner = nullptr;    // kept off logs that move
    };

    // `on_fatal`: the node cannot go on: all directories failed, or the metadata's, or the controller was not told of
    // a failure in time. Needs: everything given outlives this.
    LogDirectories(storage::LogManager& logs, replication::ReplicaManager& replicas,
                   const metadata::ImageHolder& images, const Clock& clock, Options options,
                   std::function<void(const std::string&)> on_fatal);
    ~LogDirectories();
    LogDirectories(const LogDirectories&) = delete;
    LogDirectories& operator=(const LogDirectories&) = delete;

    // After the broker registered. What failed before is told now.
    void start(controller::Controller& controller, BrokerEpoch epoch);
    void stop();

    // cordoned.log.dirs and the rate of moves; in force at once.
    void update(const config::BrokerConfig& config);
    // A wish of AlterReplicaLogDirs. Errors: as LogMover::alter.
    Result<void> alter(io::MayBlock, const storage::TopicPartition& partition, const std::string& log_dir);

private:
    // Of which the controller shall hear.
    struct Report {
        std::set<Uuid> offline;
        std::set<Uuid> cordoned;
        friend bool operator==(const Report&, const Report&) = default;
    };

    // Who hears the controller's answers; nobody after stop().
    struct Listener {
        std::mutex mutex;  // taken before mutex_
        LogDirectories* directories = nullptr;
    };

    void watch();
    void copy();
    void note_failure(const storage::LogDirInfo& failed);
    void take_offline(const std::string& path);
    void tell(const Report& report);
    void note_answer(const Report& report, ErrorCode code);
    void propose(const storage::TopicPartition& partition, const Uuid& topic_id, const Uuid& directory_id);
    void fail_if_untold(std::int64_t now_ms);

    const std::shared_ptr<Listener> listener_ = std::make_shared<Listener>();
    storage::LogManager& logs_;
    replication::ReplicaManager& replicas_;
    const metadata::ImageHolder& images_;
    const Clock& clock_;
    const Options options_;
    const std::function<void(const std::string&)> on_fatal_;
    storage::LogMover mover_;
    controller::Controller* controller_ = nullptr;
    BrokerEpoch epoch_{-1};

    std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<std::string> failed_;              // under mutex_: paths to be taken offline
    Report wanted_, told_;                         // under mutex_
    std::optional<std::int64_t> untold_since_ms_;  // under mutex_: the controller has not heard of a failure
    bool is_telling_ = false;                      // under mutex_: a heartbeat is under way
    bool has_new_move_ = false;                    // under mutex_
    bool is_stopping_ = false;                     // under mutex_
    std::thread watcher_;
    std::thread copier_;
};

}  // namespace odr::server
