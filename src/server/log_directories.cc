#include "server/log_directories.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/log.h"
#include "protocol/generated/assign_replicas_to_dirs_request.h"
#include "protocol/generated/assign_replicas_to_dirs_response.h"
#include "protocol/generated/broker_heartbeat_request.h"
#include "protocol/generated/broker_heartbeat_response.h"

namespace odr::server {
namespace {

constexpr std::chrono::milliseconds kTurn{500};

// A quota exists as a dynamic setting only, so that BrokerConfig has no value of it while it is not set.
std::int64_t move_rate(const config::ConfigMap& settings) {
    const auto found = settings.find("replica.alter.log.dirs.io.max.bytes.per.second");
    std::int64_t rate = storage::LogMover::kUnlimited;
    if (found != settings.end()) {
        (void)std::from_chars(found->second.data(), found->second.data() + found->second.size(), rate);
    }
    return rate;
}

}  // namespace

std::optional<Uuid> directory_in(const metadata::MetadataImage& image, const storage::TopicPartition& partition,
                                 BrokerId self) {
    const metadata::TopicImage* topic = image.topics().find(partition.topic);
    const metadata::PartitionRegistration* found = topic == nullptr ? nullptr : topic->partition(partition.partition);
    if (found == nullptr || !found->has_replica(self)) return std::nullopt;
    const Uuid directory = found->directory_of(self);
    if (directory == metadata::kUnassignedDirectory || directory == metadata::kMigratingDirectory) return std::nullopt;
    return directory;
}

LogDirectories::LogDirectories(storage::LogManager& logs, replication::ReplicaManager& replicas,
                               const metadata::ImageHolder& images, const Clock& clock, Options options,
                               std::function<void(const std::string&)> on_fatal)
    : logs_{logs},
      replicas_{replicas},
      images_{images},
      clock_{clock},
      options_{std::move(options)},
      on_fatal_{std::move(on_fatal)},
      mover_{logs, clock,
             [this](const storage::TopicPartition& partition) {
                 return directory_in(*images_.current(), partition, options_.self);
             },
             [this](const storage::TopicPartition& partition, const Uuid& topic_id, const Uuid& directory_id) {
                 propose(partition, topic_id, directory_id);
             },
             options_.cleaner} {
    logs_.on_offline([this](const storage::LogDirInfo& failed) { note_failure(failed); });
    logs_.set_directory_of([this](const storage::TopicPartition& partition) {
        return directory_in(*images_.current(), partition, options_.self);
    });
}

LogDirectories::~LogDirectories() { stop(); }

void LogDirectories::start(controller::Controller& controller, BrokerEpoch epoch) {
    controller_ = &controller;
    epoch_ = epoch;
    listener_->directories = this;
    watcher_ = std::thread{[this] { watch(); }};
    copier_ = std::thread{[this] { copy(); }};
}

void LogDirectories::stop() {
    {
        std::lock_guard guard{mutex_};
        if (std::exchange(is_stopping_, true)) return;
    }
    wake_.notify_all();
    for (std::thread* each : {&watcher_, &copier_}) {
        if (each->joinable()) each->join();
    }
    std::lock_guard guard{listener_->mutex};
    listener_->directories = nullptr;
}

void LogDirectories::update(const config::BrokerConfig& config) {
    const std::vector<std::string>& cordoned = config.get_list("cordoned.log.dirs");
    logs_.set_cordoned(cordoned);
    mover_.set_rate(move_rate(config.originals()));
    std::lock_guard guard{mutex_};
    wanted_.cordoned.clear();
    for (const storage::LogDirInfo& directory : logs_.log_dirs()) {
        if (!directory.offline && logs_.is_cordoned(directory.path)) wanted_.cordoned.insert(directory.directory_id);
    }
    wake_.notify_all();
}

// --- failures and reports

// Called under locks of the log that met the failure.
void LogDirectories::note_failure(const storage::LogDirInfo& failed) {
    std::lock_guard guard{mutex_};
    failed_.push_back(failed.path);
    wanted_.offline.insert(failed.directory_id);
    if (!untold_since_ms_) untold_since_ms_ = clock_.monotonic_ms();
    wake_.notify_all();
}

void LogDirectories::watch() {
    std::unique_lock guard{mutex_};
    while (!is_stopping_) {
        const std::vector<std::string> failed = std::exchange(failed_, {});
        const bool has_news = wanted_ != told_ && !std::exchange(is_telling_, is_telling_ || wanted_ != told_);
        const Report report = wanted_;
        guard.unlock();
        for (const std::string& path : failed) take_offline(path);
        if (has_news) tell(report);
        fail_if_untold(clock_.monotonic_ms());
        guard.lock();
        if (wanted_ == told_) {
            wake_.wait(guard, [&] { return is_stopping_ || !failed_.empty() || wanted_ != told_; });
        } else {  // until it is answered; what was refused is said again, but not at once
            wake_.wait_for(guard, kTurn, [&] { return is_stopping_ || !failed_.empty(); });
        }
    }
}

void LogDirectories::take_offline(const std::string& path) {
    const std::vector<storage::LogDirInfo> all = logs_.log_dirs();
    if (path == options_.metadata_log_dir) {
        return on_fatal_(
            fmt::format("the log directory {} failed, which holds the metadata log. The node stops", path));
    }
    if (std::ranges::all_of(all, [](const storage::LogDirInfo& each) { return each.offline; })) {
        return on_fatal_(fmt::format("all log directories have failed, {} last. The node stops", path));
    }
    const std::vector<storage::TopicPartition> lost = logs_.retire_offline_directory(path);
    replicas_.close_offline();
    log::error("{} is out of service with the {} partitions in it; a restart after its repair brings them back", path,
               lost.size());
}

// What a report leaves unsaid is said again at the next turn of watch().
void LogDirectories::tell(const Report& report) {
    protocol::BrokerHeartbeatRequest request;
    request.broker_id = options_.self.raw();
    request.broker_epoch = epoch_.raw();
    request.current_metadata_offset = images_.current()->offset().raw();
    request.offline_log_dirs.assign(report.offline.begin(), report.offline.end());
    request.cordoned_log_dirs.emplace(report.cordoned.begin(), report.cordoned.end());
    controller_->submit({.api_version = protocol::BrokerHeartbeatRequest::kMaxVersion}, std::move(request),
                        [listener = listener_, report](auto answer) {
                            const auto code =
                                answer ? static_cast<ErrorCode>(answer->response.error_code) : answer.error().code;
                            std::lock_guard guard{listener->mutex};
                            if (listener->directories != nullptr) listener->directories->note_answer(report, code);
                        });
}

void LogDirectories::note_answer(const Report& report, ErrorCode code) {
    if (code != ErrorCode::none) log::warn("the controller refuses a heartbeat: {}", to_string(code));
    std::lock_guard guard{mutex_};
    is_telling_ = false;
    if (code != ErrorCode::none) return;
    told_ = report;
    if (told_.offline == wanted_.offline) untold_since_ms_.reset();
}

void LogDirectories::fail_if_untold(std::int64_t now_ms) {
    {
        std::lock_guard guard{mutex_};
        if (!untold_since_ms_ || now_ms - *untold_since_ms_ < options_.failure_timeout_ms) return;
        untold_since_ms_.reset();
    }
    on_fatal_(
        "the controller could not be told of a failed log directory within log.dir.failure.timeout.ms, and would "
        "go on sending clients here. The node stops");
}

// --- moves

void LogDirectories::copy() {
    std::unique_lock guard{mutex_};
    while (!is_stopping_) {
        guard.unlock();
        const std::chrono::milliseconds wait{mover_.run_once(io::MayBlock::on_own_thread())};
        guard.lock();
        if (wait.count() > 0) wake_.wait_for(guard, wait, [this] { return is_stopping_ || has_new_move_; });
        has_new_move_ = false;
    }
}

Result<void> LogDirectories::alter(io::MayBlock may_block, const storage::TopicPartition& partition,
                                   const std::string& log_dir) {
    ODR_CHECK(mover_.alter(may_block, partition, log_dir));
    std::lock_guard guard{mutex_};
    has_new_move_ = true;
    wake_.notify_all();
    return {};
}

void LogDirectories::propose(const storage::TopicPartition& partition, const Uuid& topic_id, const Uuid& directory_id) {
    if (controller_ == nullptr) return;
    protocol::AssignReplicasToDirsRequest request;
    request.broker_id = options_.self.raw();
    request.broker_epoch = epoch_.raw();
    auto& directory = request.directories.emplace_back();
    directory.id = directory_id;
    directory.topics.push_back({.topic_id = topic_id, .partitions = {{partition.partition.raw()}}});
    controller_->submit(
        {.api_version = protocol::AssignReplicasToDirsRequest::kMaxVersion}, std::move(request), [](auto answer) {
            const auto code = answer ? static_cast<ErrorCode>(answer->response.error_code) : answer.error().code;
            if (code == ErrorCode::none) return;
            log::warn("the controller refuses a replica's new directory: {}", to_string(code));
        });
}

}  // namespace odr::server
