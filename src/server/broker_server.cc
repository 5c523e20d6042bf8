#include "server/broker_server.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <algorithm>
#include <future>

#include "base/log.h"
#include "controller/controller.h"
#include "metadata/bootstrap.h"
#include "metadata/features.h"
#include "metadata/meta_properties.h"
#include "protocol/generated/broker_heartbeat_request.h"
#include "protocol/generated/broker_heartbeat_response.h"
#include "protocol/generated/broker_registration_request.h"
#include "protocol/generated/broker_registration_response.h"

namespace odr::server {
namespace {

constexpr std::size_t kBlockingThreads = 8;
constexpr std::chrono::milliseconds kBackgroundTurn{500};
// Where queued.max.request.bytes sets no limit: so much of the machine's memory for large requests in flight.
constexpr std::uint64_t kMemoryShare = 4;

std::int64_t request_bytes_max(const config::BrokerLimits& limits) {
    if (limits.queued_max_request_bytes > 0) return limits.queued_max_request_bytes;
    struct sysinfo info{};
    if (::sysinfo(&info) != 0) return std::int64_t{1} << 30;
    return static_cast<std::int64_t>(info.totalram * info.mem_unit / kMemoryShare);
}

// Every connection and every active segment is a descriptor.
// Gives: how many there may be.
std::size_t raise_open_files_limit() {
    constexpr std::size_t kUnknown = 1024;
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return kUnknown;
    const rlim_t before = std::exchange(limit.rlim_cur, limit.rlim_max);
    return static_cast<std::size_t>(::setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : before);
}

// As many reactors as cores, unless num.network.threads was set.
std::size_t reactor_count(const config::BrokerConfig& config) {
    if (config.is_set("num.network.threads")) return static_cast<std::size_t>(config.get_int("num.network.threads"));
    return std::max(1U, std::thread::hardware_concurrency());
}

ConnectionLimits connection_limits(const config::BrokerConfig& config) {
    const config::BrokerLimits limits = config.limits();
    ConnectionLimits out;
    out.request_bytes_max = limits.socket_request_max_bytes;
    out.idle_ms_max = limits.connections_max_idle_ms;
    // Kafka's default of 100 KiB keeps a fast reader waiting; the kernel grows its own as needed.
    constexpr std::int32_t kKernels = -1;
    const auto buffer = [&](std::string_view key) { return config.is_set(key) ? config.get_int(key) : kKernels; };
    out.send_buffer_bytes = buffer("socket.send.buffer.bytes");
    out.receive_buffer_bytes = buffer("socket.receive.buffer.bytes");
    return out;
}

std::string machine_name() {
    char name[256] = "localhost";
    ::gethostname(name, sizeof name - 1);
    return name;
}

// Waits on this thread for the controller's answer. For start and stop; requests never do this.
template <class Request>
Result<controller::Answer<controller::ResponseOf<Request>>> ask(controller::Controller& controller,
                                                                std::int16_t version, Request request) {
    std::promise<Result<controller::Answer<controller::ResponseOf<Request>>>> promise;
    auto answer = promise.get_future();
    controller.submit({.api_version = version}, std::move(request),
                      [&promise](auto given) { promise.set_value(std::move(given)); });
    return answer.get();
}

}  // namespace

BrokerServer::BrokerServer(std::shared_ptr<const config::BrokerConfig> config, io::FileSystem& files,
                           const Clock& clock, Random& random, std::function<void(const std::string&)> on_fatal)
    : config_{std::move(config)},
      files_{files},
      clock_{clock},
      random_{random},
      on_fatal_{std::move(on_fatal)},
      pool_{kBlockingThreads},
      request_memory_{request_bytes_max(config_->limits())},
      connection_quotas_{quota_limits(*config_)},
      fetch_sessions_{static_cast<std::size_t>(config_->limits().max_incremental_fetch_session_cache_slots), random_},
      producer_ids_{services_},
      loader_{images_} {
    services_.clock = &clock_;
    services_.random = &random_;
    services_.pool = &pool_;
    services_.config = config_.get();
    services_.images = &images_;
    services_.fetch_sessions = &fetch_sessions_;
    services_.producer_ids = &producer_ids_;
    services_.connection_quotas = &connection_quotas_;
    services_.request_memory = &request_memory_;
    services_.fetch_bytes_max = config_->limits().fetch_max_bytes;
}

BrokerServer::~BrokerServer() { stop(); }

std::expected<void, StartFailure> BrokerServer::start() {
    for (const auto step : {&BrokerServer::open_directories, &BrokerServer::open_metadata_log,
                            &BrokerServer::bind_listeners, &BrokerServer::start_controller, &BrokerServer::load_logs,
                            &BrokerServer::register_broker, &BrokerServer::unfence_broker}) {
        if (Step done = (this->*step)(); !done) return done;
    }
    serve();
    return {};
}

std::vector<std::string> BrokerServer::listening() const {
    std::vector<std::string> out;
    for (const config::Listener& each : bound_) out.push_back(config::to_string(each));
    return out;
}

const std::string& BrokerServer::cluster_id() const { return logs_->cluster_id(); }

// --- the steps of the start

BrokerServer::Step BrokerServer::open_directories() {
    storage::LogManagerConfig options;
    options.log_dirs = config_->log_dirs();
    options.node_id = config_->node_id();
    options.open_files_max = raise_open_files_limit();
    options.num_recovery_threads_per_data_dir = DynamicConfig::recovery_threads(*config_);
    options.log_retention_check_interval_ms = config_->get_long("log.retention.check.interval.ms");
    options.log_flush_scheduler_interval_ms = config_->get_long("log.flush.scheduler.interval.ms");
    options.log_flush_offset_checkpoint_interval_ms = config_->get_int("log.flush.offset.checkpoint.interval.ms");
    options.log_flush_start_offset_checkpoint_interval_ms =
        config_->get_int("log.flush.start.offset.checkpoint.interval.ms");
    options.high_watermark_checkpoint_interval_ms = config_->get_long("replica.high.watermark.checkpoint.interval.ms");
    options.log_initial_task_delay_ms = config_->get_long("log.initial.task.delay.ms");
    options.transaction_timeout_max_ms = config_->get_int("transaction.max.timeout.ms");
    options.producer_id_expiration_ms = config_->get_int("producer.id.expiration.ms");
    std::string reason;
    auto opened =
        storage::LogManager::open(io::MayBlock::at_startup(), files_, clock_, random_, std::move(options), reason);
    if (!opened) return std::unexpected{reason};
    logs_ = std::move(*opened);
    services_.logs = logs_.get();
    logs_->set_delete_delay(config_->get_long("log.segment.delete.delay.ms"));
    log_cleaner_ = std::make_unique<storage::LogCleaner>(*logs_, files_, clock_, random_,
                                                         DynamicConfig::log_cleaner_config(*config_));
    services_.log_cleaner = log_cleaner_.get();
    replicas_ = std::make_unique<replication::ReplicaManager>(*logs_, clock_, pool_);
    services_.replicas = replicas_.get();
    log_directories_ = std::make_unique<LogDirectories>(
        *logs_, *replicas_, images_, clock_,
        LogDirectories::Options{.self = config_->node_id(),
                                .metadata_log_dir = config_->metadata_log_dir(),
                                .failure_timeout_ms = config_->get_long("log.dir.failure.timeout.ms"),
                                .cleaner = log_cleaner_.get()},
        on_fatal_);
    log_directories_->update(*config_);
    services_.log_directories = log_directories_.get();
    dynamic_config_ = std::make_unique<DynamicConfig>(config_, services_);
    services_.dynamic_config = dynamic_config_.get();
    local_partitions_ = std::make_unique<LocalPartitions>(*replicas_, *dynamic_config_, pool_, config_->node_id(),
                                                          [this](const Uuid& id) { images_.republish(id); });
    return {};
}

std::optional<Uuid> BrokerServer::metadata_directory_id() const {
    for (const storage::LogDirInfo& directory : logs_->log_dirs()) {
        if (directory.path == config_->metadata_log_dir()) return directory.directory_id;
    }
    const std::string path = config_->metadata_log_dir() + "/" + std::string{metadata::kMetaPropertiesFile};
    const auto text = files_.exists(path) ? files_.read_file(path) : Result<std::string>{std::string{}};
    const auto properties = text ? metadata::parse_meta_properties(*text) : fail(text.error());
    return properties ? properties->directory_id : std::nullopt;
}

BrokerServer::Step BrokerServer::open_metadata_log() {
    const std::string directory = config_->metadata_log_dir();
    if (std::ranges::find(config_->log_dirs(), directory) == config_->log_dirs().end()) {
        auto lock = files_.lock(directory + "/.lock");
        if (!lock) {
            return std::unexpected{
                fmt::format("metadata.log.dir={}: {}: another process uses it, or it cannot be "
                            "written (errno {})",
                            directory, lock.error().what, lock.error().os_errno)};
        }
        metadata_directory_lock_ = std::move(*lock);
    }
    const std::string controller_listener = config_->controller_listener_names().front();
    raft::MetadataLogOptions options;
    options.directory = directory;
    options.self = {config_->node_id(), metadata_directory_id().value_or(kZeroUuid)};
    for (const config::Voter& voter : config_->controller_quorum_voters()) {
        options.static_voters.push_back({.key = {BrokerId{voter.id}, {}},
                                         .endpoints = {{controller_listener, voter.address.host, voter.address.port}}});
    }
    for (const config::Listener& each : config_->advertised_controller_listeners()) {
        options.local_endpoints.push_back({each.name, each.host.empty() ? machine_name() : each.host, each.port});
    }
    options.segment_bytes = config_->get_int("metadata.log.segment.bytes");
    options.segment_ms = config_->get_long("metadata.log.segment.ms");
    options.retention_bytes = config_->get_long("metadata.max.retention.bytes");
    options.retention_ms = config_->get_long("metadata.max.retention.ms");
    auto opened = raft::MetadataLog::open(io::MayBlock::at_startup(), files_, clock_, std::move(options));
    if (!opened) {
        return std::unexpected{fmt::format("{}/__cluster_metadata-0: the metadata log cannot be opened: {} ({})",
                                           directory, opened.error().what, to_string(opened.error().code))};
    }
    metadata_log_ = std::move(*opened);
    services_.metadata_log = metadata_log_.get();
    Result<void> ready = metadata_log_->register_listener(io::MayBlock::at_startup(), loader_);
    if (ready) ready = metadata_log_->become_leader(io::MayBlock::at_startup());
    if (!ready) {
        return std::unexpected{fmt::format("{}/__cluster_metadata-0: the metadata log cannot be replayed: {} ({})",
                                           directory, ready.error().what, to_string(ready.error().code))};
    }
    snapshots_ = std::make_unique<metadata::SnapshotGenerator>(
        *metadata_log_, images_, loader_, clock_,
        metadata::SnapshotGenerator::Options{
            .max_record_bytes =
                static_cast<std::uint64_t>(config_->get_long("metadata.log.max.record.bytes.between.snapshots")),
            .max_interval_ms = config_->get_long("metadata.log.max.snapshot.interval.ms")});
    return {};
}

BrokerServer::Step BrokerServer::bind_listeners() {
    sockets_ = std::make_unique<SocketServer>(services_, connection_limits(*config_), reactor_count(*config_));
    const std::vector<std::string>& controllers = config_->controller_listener_names();
    for (config::Listener each : config_->listeners()) {
        std::string reason;
        const bool is_controller = std::ranges::find(controllers, each.name) != controllers.end();
        const auto port = sockets_->bind(
            {.listener = each.name, .host = each.host, .port = each.port, .is_controller = is_controller}, reason);
        if (!port) return std::unexpected{reason};
        each.port = *port;
        bound_.push_back(std::move(each));
    }
    return {};
}

std::vector<metadata::Endpoint> BrokerServer::endpoints(const std::vector<config::Listener>& advertised) const {
    std::vector<metadata::Endpoint> out;
    for (const config::Listener& each : advertised) {
        std::uint16_t port = each.port;
        for (const config::Listener& bound : bound_) {
            if (port == 0 && bound.name == each.name) port = bound.port;
        }
        out.push_back({.listener = each.name,
                       .host = each.host.empty() ? machine_name() : each.host,
                       .port = port,
                       .security_protocol = static_cast<std::int16_t>(each.protocol)});
    }
    return out;
}

BrokerServer::Step BrokerServer::start_controller() {
    auto bootstrap = metadata::read_bootstrap(io::MayBlock::at_startup(), files_, config_->metadata_log_dir());
    if (!bootstrap) {
        return std::unexpected{fmt::format("{}/bootstrap.checkpoint: cannot be read: {}", config_->metadata_log_dir(),
                                           bootstrap.error().what)};
    }
    controller::ControllerOptions options;
    options.config = config_;
    options.cluster_id = logs_->cluster_id();
    options.listeners = endpoints(config_->advertised_controller_listeners());
    options.bootstrap = std::move(*bootstrap);
    options.embedded_broker = config_->node_id();
    options.on_fatal = [this](const Error& error) {
        on_fatal_(fmt::format("{}/__cluster_metadata-0: cannot be written any more: {} (errno {}). The node stops",
                              config_->metadata_log_dir(), error.what, error.os_errno));
    };
    controller_ =
        std::make_unique<controller::Controller>(*metadata_log_, loader_, clock_, random_, std::move(options));
    services_.controller = controller_.get();
    if (const auto started = controller_->start(io::MayBlock::at_startup()); !started) {
        return std::unexpected{
            fmt::format("the controller cannot start: {} ({})", started.error().what, to_string(started.error().code))};
    }
    return {};
}

BrokerServer::Step BrokerServer::load_logs() {
    const auto image = images_.current();
    dynamic_config_->apply_stored(*image);
    const auto config_of = [&](const std::string& topic) { return dynamic_config_->log_config(*image, topic); };
    const auto is_stray = [&](const storage::TopicPartition& partition, const Uuid& topic_id) {
        const metadata::TopicImage* topic = image->topics().find(partition.topic);
        if (topic == nullptr || (!topic_id.is_zero() && topic->id != topic_id)) return true;
        const metadata::PartitionRegistration* registered = topic->partition(partition.partition);
        return registered == nullptr || !registered->has_replica(config_->node_id());
    };
    if (const auto loaded = logs_->load_logs(io::MayBlock::at_startup(), config_of, is_stray); !loaded) {
        return std::unexpected{
            fmt::format("the logs cannot be loaded: {} (errno {})", loaded.error().what, loaded.error().os_errno)};
    }
    images_.add_publisher(*dynamic_config_);
    images_.add_publisher(*local_partitions_);
    partition_reports_ = std::make_unique<PartitionReports>(*controller_, *logs_, config_->node_id());
    images_.add_publisher(*partition_reports_);
    start_groups();
    return {};
}

// After the partitions' publisher: the coordinator's shards live on partitions that are open.
void BrokerServer::start_groups() {
    std::vector<io::Reactor*> reactors;
    for (const auto& processor : sockets_->processors()) reactors.push_back(&processor->reactor());
    const coordinator::ShardEnvironment environment{
        .clock = &clock_, .random = &random_, .pool = &pool_, .images = &images_};
    groups_ = std::make_unique<coordinator::GroupCoordinator>(
        environment, *replicas_, std::move(reactors), config_->node_id(),
        [this] { return coordinator::GroupSettings::from(*dynamic_config_->current()); });
    services_.groups = groups_.get();
    images_.add_publisher(*groups_);
}

BrokerServer::Step BrokerServer::register_broker() {
    protocol::BrokerRegistrationRequest request;
    request.broker_id = config_->node_id().raw();
    request.cluster_id = logs_->cluster_id();
    request.incarnation_id = random_.uuid();
    request.previous_broker_epoch = logs_->previous_broker_epoch();
    const std::vector<metadata::Endpoint> listeners = endpoints(config_->advertised_broker_listeners());
    for (const metadata::Endpoint& each : listeners) {
        request.listeners.push_back({each.listener, each.host, each.port, each.security_protocol});
    }
    for (const metadata::SupportedFeature& feature : metadata::supported_features()) {
        request.features.push_back({feature.name, feature.min, feature.max});
    }
    const std::string& rack = config_->get_string("broker.rack");
    request.rack = rack.empty() ? std::nullopt : std::optional<std::string_view>{rack};
    for (const storage::LogDirInfo& directory : logs_->log_dirs()) {
        if (!directory.offline) request.log_dirs.push_back(directory.directory_id);
    }
    const std::int16_t version = protocol::BrokerRegistrationRequest::kMaxVersion;
    const auto answer = ask(*controller_, version, std::move(request));
    const ErrorCode code = answer ? static_cast<ErrorCode>(answer->response.error_code) : answer.error().code;
    if (code != ErrorCode::none) {
        return std::unexpected{fmt::format("the controller does not take this broker in: {}", to_string(code))};
    }
    broker_epoch_ = answer->response.broker_epoch;
    return {};
}

BrokerServer::Step BrokerServer::unfence_broker() {
    protocol::BrokerHeartbeatRequest request;
    request.broker_id = config_->node_id().raw();
    request.broker_epoch = broker_epoch_;
    request.current_metadata_offset = images_.current()->offset().raw();
    request.want_fence = false;
    const auto answer = ask(*controller_, protocol::BrokerHeartbeatRequest::kMaxVersion, std::move(request));
    const ErrorCode code = answer ? static_cast<ErrorCode>(answer->response.error_code) : answer.error().code;
    if (code != ErrorCode::none || answer->response.is_fenced) {
        return std::unexpected{fmt::format("the controller keeps this broker fenced: {}", to_string(code))};
    }
    return {};
}

void BrokerServer::start_scrubber() {
    std::vector<std::string> directories = config_->log_dirs();
    const std::string metadata_directory = config_->metadata_log_dir();
    if (std::ranges::find(directories, metadata_directory) == directories.end())
        directories.push_back(metadata_directory);
    scrubber_ = std::make_unique<storage::LogScrubber>(
        files_, clock_, std::move(directories),
        storage::ScrubConfig{.bytes_per_second = config_->get_long("odradek.log.scrub.io.max.bytes.per.second"),
                             .interval_ms = config_->get_long("odradek.log.scrub.interval.ms")});
}

void BrokerServer::serve() {
    start_scrubber();
    log_directories_->start(*controller_, BrokerEpoch{broker_epoch_});
    sockets_->start();
    is_serving_ = true;
    sockets_->accept();
    background_ = std::thread{[this] { run_background(&BrokerServer::background_turn); }};
    removal_ = std::thread{[this] { run_background(&BrokerServer::remove_deleted_files); }};
    log_cleaner_->start();
}

// --- while it runs

void BrokerServer::run_background(void (BrokerServer::*turn)()) {
    std::unique_lock guard{background_mutex_};
    while (!background_wake_.wait_for(guard, kBackgroundTurn, [this] { return is_stopping_; })) {
        guard.unlock();
        (this->*turn)();
        guard.lock();
    }
}

void BrokerServer::scrub() {
    for (std::size_t i = 0; i < scrubber_->directory_count(); ++i) {
        if (!scrubber_->begin_slice(i)) continue;
        pool_.submit([this, i](io::MayBlock may_block) { scrubber_->run_slice(may_block, i); });
    }
}

void BrokerServer::remove_deleted_files() { logs_->remove_deleted_files(io::MayBlock::on_own_thread(), clock_.now()); }

void BrokerServer::background_turn() {
    const io::MayBlock may_block = io::MayBlock::on_own_thread();
    scrub();
    logs_->run_soon(clock_.now());
    if (const auto snapshot = snapshots_->run_if_due(may_block); !snapshot) {
        log::error("{}/__cluster_metadata-0: cannot write a snapshot: {} (errno {})", config_->metadata_log_dir(),
                   snapshot.error().what, snapshot.error().os_errno);
    }
}

// --- the stop

void BrokerServer::leave_cluster() {
    protocol::BrokerHeartbeatRequest request;
    request.broker_id = config_->node_id().raw();
    request.broker_epoch = broker_epoch_;
    request.current_metadata_offset = images_.current()->offset().raw();
    request.want_shut_down = true;
    const auto answer = ask(*controller_, protocol::BrokerHeartbeatRequest::kMaxVersion, std::move(request));
    if (!answer) log::warn("the controller did not hear that this broker stops: {}", answer.error().what);
}

void BrokerServer::stop() {
    const io::MayBlock may_block = io::MayBlock::at_startup();
    {
        std::lock_guard guard{background_mutex_};
        if (std::exchange(is_stopping_, true)) return;
    }
    background_wake_.notify_all();
    for (std::thread* each : {&background_, &removal_}) {
        if (each->joinable()) each->join();
    }
    if (scrubber_ != nullptr) scrubber_->stop(may_block);
    if (log_cleaner_ != nullptr) log_cleaner_->stop();
    if (log_directories_ != nullptr) log_directories_->stop();
    if (sockets_ != nullptr) sockets_->stop_accepting();
    if (controller_ != nullptr && broker_epoch_ >= 0) leave_cluster();
    if (local_partitions_ != nullptr) local_partitions_->stop();
    if (is_serving_) groups_->stop();
    if (replicas_ != nullptr) replicas_->close_all();
    if (sockets_ != nullptr) sockets_->stop();
    if (controller_ != nullptr) controller_->stop();
    if (metadata_log_ != nullptr) {
        if (const auto closed = metadata_log_->close(may_block); !closed) {
            log::error("the metadata log cannot be closed cleanly: {}", closed.error().what);
        }
    }
    // Only a node that was up may say that it stopped cleanly.
    if (logs_ != nullptr && broker_epoch_ >= 0) logs_->stop(may_block, broker_epoch_);
}

}  // namespace odr::server
