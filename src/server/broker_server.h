#pragma once

#include <chrono>
#include <condition_variable>
#include <expected>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/config/broker_config.h"
#include "coordinator/group_coordinator.h"
#include "io/blocking_pool.h"
#include "io/file_system.h"
#include "metadata/image_holder.h"
#include "metadata/metadata_loader.h"
#include "metadata/snapshot_generator.h"
#include "raft/metadata_log.h"
#include "server/connection_quotas.h"
#include "server/dynamic_config.h"
#include "server/fetch_session.h"
#include "server/local_partitions.h"
#include "server/log_directories.h"
#include "server/partition_reports.h"
#include "server/producer_ids.h"
#include "server/request_memory.h"
#include "server/services.h"
#include "server/socket_server.h"
#include "storage/log_cleaner.h"
#include "storage/log_manager.h"
#include "storage/log_scrubber.h"

namespace odr::server {

// A line for the operator: what failed, where, and what to do.
using StartFailure = std::string;

// One node, broker and controller in one, from start to stop.
//
// Order of the start: directories -> metadata log -> controller -> logs -> registration -> partitions -> listeners.
// Each part uses only those before it, and stop() goes the other way.
//
// Owner:   main. Threads: one calls start() and stop(); the node runs on its own.
// Kafka:   KafkaRaftServer, BrokerServer, ControllerServer, BrokerLifecycleManager.
class BrokerServer {
public:
    // `on_fatal` is called once, on any thread, when the node must stop: its metadata log cannot be written any more.
    BrokerServer(std::shared_ptr<const config::BrokerConfig> config, io::FileSystem& files, const Clock& clock,
                 Random& random, std::function<void(const std::string&)> on_fatal);
    ~BrokerServer();
    BrokerServer(const BrokerServer&) = delete;
    BrokerServer& operator=(const BrokerServer&) = delete;

    // Returns when clients are served.
    std::expected<void, StartFailure> start();
    // Flushes, writes checkpoints and .kafka_cleanshutdown.
    void stop();

    // What listens where, ports bound: "PLAINTEXT://127.0.0.1:9092".
    std::vector<std::string> listening() const;
    const std::string& cluster_id() const;
    // For reports, between start() and stop(). Threads: any.
    const Services& services() const { return services_; }
    const storage::LogScrubber& scrubber() const { return *scrubber_; }

private:
    using Step = std::expected<void, StartFailure>;
    Step open_directories();
    Step open_metadata_log();
    Step bind_listeners();
    Step start_controller();
    Step load_logs();
    void start_groups();
    Step register_broker();
    Step unfence_broker();
    void serve();
    void run_background(void (BrokerServer::*turn)());
    void background_turn();
    void start_scrubber();
    void scrub();
    void remove_deleted_files();
    std::optional<Uuid> metadata_directory_id() const;
    std::vector<metadata::Endpoint> endpoints(const std::vector<config::Listener>& advertised) const;
    void leave_cluster();

    const std::shared_ptr<const config::BrokerConfig> config_;
    io::FileSystem& files_;
    const Clock& clock_;
    Random& random_;
    const std::function<void(const std::string&)> on_fatal_;

    Services services_;
    io::BlockingPool pool_;
    RequestMemory request_memory_;
    ConnectionQuotas connection_quotas_;
    FetchSessionCache fetch_sessions_;
    ProducerIdManager producer_ids_;
    metadata::ImageHolder images_;
    metadata::MetadataLoader loader_;
    std::unique_ptr<storage::LogManager> logs_;
    std::unique_ptr<storage::LogScrubber> scrubber_;
    std::unique_ptr<storage::LogCleaner> log_cleaner_;
    std::unique_ptr<replication::ReplicaManager> replicas_;
    std::unique_ptr<LogDirectories> log_directories_;
    std::unique_ptr<raft::MetadataLog> metadata_log_;
    std::unique_ptr<controller::Controller> controller_;
    std::unique_ptr<DynamicConfig> dynamic_config_;
    std::unique_ptr<LocalPartitions> local_partitions_;
    std::unique_ptr<PartitionReports> partition_reports_;
    std::unique_ptr<coordinator::GroupCoordinator> groups_;
    std::unique_ptr<metadata::SnapshotGenerator> snapshots_;
    std::unique_ptr<io::FileLock> metadata_directory_lock_;  // where metadata.log.dir is not one of log.dirs
    std::unique_ptr<SocketServer> sockets_;
    std::vector<config::Listener> bound_;  // as configured, with the ports in use
    std::int64_t broker_epoch_ = -1;
    bool is_serving_ = false;  // the reactors run

    std::thread background_;
    std::thread removal_;
    std::mutex background_mutex_;
    std::condition_variable background_wake_;
    bool is_stopping_ = false;  // under background_mutex_
};

}  // namespace odr::server
