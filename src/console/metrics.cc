#include "console/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <map>

#include "storage/topic_partition.h"

namespace odr::console {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Families = std::vector<MetricFamily>;
using Labels = std::vector<ClientMetric::Label>;

constexpr const char* kLogDir = "logDirectory";  // as in Kafka's beans

// How many bytes the character at the front takes; 0: there is none.
std::size_t utf8_length(std::string_view text) {
    const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
    const unsigned first = byte(0);
    const std::size_t length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (first > 0xf4 || length > text.size()) return 0;
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xc0U) != 0x80) return 0;
    }
    const bool is_overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
    const bool is_no_character = (first == 0xed && byte(1) > 0x9f) || (first == 0xf4 && byte(1) > 0x8f);
    return is_overlong || is_no_character ? 0 : length;
}

// A path may hold any byte, and one label that is no UTF-8 makes Prometheus refuse the whole answer.
std::string label_text(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        out += length == 0 ? "?" : text.substr(0, length);
        text.remove_prefix(std::max<std::size_t>(length, 1));
    }
    return out;
}

MetricFamily& add_family(Families& out, std::string name, MetricType type, std::string help) {
    return out.emplace_back(MetricFamily{std::move(name), std::move(help), type, {}});
}

template <class Number>
void add_sample(MetricFamily& family, Number number, Labels labels = {}) {
    ClientMetric& sample = family.metric.emplace_back();
    sample.label = std::move(labels);
    const auto value = static_cast<double>(number);
    if (family.type == MetricType::Counter) sample.counter.value = value;
    if (family.type == MetricType::Gauge) sample.gauge.value = value;
}

// One family, with a sample for each of `items`, taken by `value` (which may leave one out).
template <class Items, class Value>
void add_by_log_dir(Families& out, const char* name, MetricType type, const char* help, const Items& items,
                    const Value& value) {
    MetricFamily& family = add_family(out, name, type, help);
    for (const auto& [log_dir, item] : items) {
        const std::optional<double> number = value(item);
        if (number) add_sample(family, *number, {{kLogDir, label_text(log_dir)}});
    }
    if (family.metric.empty()) out.pop_back();
}

template <class Number>
void add_gauge(Families& out, const char* name, const char* help, Number number) {
    add_sample(add_family(out, name, MetricType::Gauge, help), number);
}
template <class Number>
void add_counter(Families& out, const char* name, const char* help, Number number) {
    add_sample(add_family(out, name, MetricType::Counter, help), number);
}

double seconds_of(TimestampMs time) { return static_cast<double>(time.raw()) / 1000; }

// --- the scrub

std::optional<double> last_found_seconds(const storage::ScrubState& state) {
    if (state.findings.empty()) return std::nullopt;
    return seconds_of(std::ranges::max(state.findings, {}, &storage::ScrubFinding::found).found);
}

void add_damaged_partitions(Families& out, const std::vector<BrokerFigures::Scrub>& scrubs) {
    MetricFamily& family =
        add_family(out, "odradek_log_scrub_damaged_ranges", MetricType::Gauge,
                   "Ranges of bytes in sealed segments of the partition that the scrub found broken and that have not "
                   "been restored or deleted before its last pass.");
    for (const BrokerFigures::Scrub& scrub : scrubs) {
        std::map<storage::TopicPartition, int> counts;
        for (const storage::ScrubFinding& finding : scrub.state.findings) {
            const std::string_view folder = std::string_view{finding.file}.substr(0, finding.file.find('/'));
            ++counts[storage::parse_log_folder_name(folder).topic_partition];
        }
        for (const auto& [log, count] : counts) {
            add_sample(family, count,
                       {{kLogDir, label_text(scrub.log_dir)},
                        {"topic", label_text(log.topic)},
                        {"partition", std::to_string(log.partition.raw())}});
        }
    }
    if (family.metric.empty()) out.pop_back();
}

void add_scrub(Families& out, const std::vector<BrokerFigures::Scrub>& scrubs) {
    const auto add = [&](const char* name, MetricType type, const char* help, const auto& value) {
        add_by_log_dir(out, name, type, help, scrubs, value);
    };
    using State = const storage::ScrubState&;
    using Number = std::optional<double>;
    add("odradek_log_scrub_read_bytes_total", MetricType::Counter,
        "Bytes of sealed segments that the scrub has read, over restarts.",
        [](State state) -> Number { return static_cast<double>(state.bytes); });
    add("odradek_log_scrub_segments_total", MetricType::Counter,
        "Sealed segments that the scrub has read, over restarts.",
        [](State state) -> Number { return static_cast<double>(state.segments); });
    add("odradek_log_scrub_passes_total", MetricType::Counter,
        "Passes over all sealed segments that the scrub has finished, over restarts.", [](State state) -> Number {
            const bool is_under_way = state.cycle > 0 && state.cycle_ended.raw() < 0;
            return static_cast<double>(state.cycle - (is_under_way ? 1 : 0));
        });
    add("odradek_log_scrub_damaged_ranges_total", MetricType::Counter,
        "Broken ranges of bytes that the scrub has found, over restarts; one that stays broken counts once.",
        [](State state) -> Number { return static_cast<double>(state.damaged_ranges); });
    add_damaged_partitions(out, scrubs);
    add("odradek_log_scrub_last_damage_timestamp_seconds", MetricType::Gauge,
        "When the scrub last found a range that was sound before and is still broken.", last_found_seconds);
    add("odradek_log_scrub_pass_start_timestamp_seconds", MetricType::Gauge,
        "When the pass under way, or the last one, began.", [](State state) -> Number {
            if (state.cycle_started.raw() < 0) return std::nullopt;
            return seconds_of(state.cycle_started);
        });
}

// --- the cleaner

void add_cleaner(Families& out, const storage::LogCleanerFigures& cleaner) {
    using Directory = storage::LogCleanerFigures::Directory;
    add_by_log_dir(out, "kafka_log_logcleanermanager_uncleanable_partitions_count", MetricType::Gauge,
                   "Compacted partitions that are left alone until the next start because of damage.",
                   cleaner.directories,
                   [](const Directory& each) { return std::optional<double>{each.uncleanable_partitions}; });
    add_by_log_dir(out, "kafka_log_logcleanermanager_uncleanable_bytes", MetricType::Gauge,
                   "Bytes of those partitions that wait to be cleaned.", cleaner.directories,
                   [](const Directory& each) { return std::optional{static_cast<double>(each.uncleanable_bytes)}; });
    add_gauge(out, "kafka_log_logcleanermanager_max_dirty_percent",
              "How much of the dirtiest compacted log was dirty when the cleaner last looked.",
              cleaner.max_dirty_percent);
    add_gauge(out, "kafka_log_logcleanermanager_time_since_last_run_ms",
              "Milliseconds since the cleaner last looked for a log to clean.", cleaner.time_since_last_run_ms);
    add_gauge(out, "kafka_log_logcleaner_cleaner_recopy_percent",
              "Bytes written by the last cleaning of each thread, in percent of those read.",
              cleaner.cleaner_recopy_percent);
    add_gauge(out, "kafka_log_logcleaner_max_buffer_utilization_percent",
              "How full the offset map was in the last cleaning of each thread, the fullest.",
              cleaner.max_buffer_utilization_percent);
    add_gauge(out, "kafka_log_logcleaner_max_clean_time_secs",
              "How long the last cleaning of each thread took, the longest.", cleaner.max_clean_time_secs);
    add_gauge(out, "kafka_log_logcleaner_max_compaction_delay_secs",
              "By how much max.compaction.lag.ms was exceeded, at most.", cleaner.max_compaction_delay_secs);
    add_gauge(out, "kafka_log_logcleaner_deadthreadcount", "Cleaner threads that have died.",
              cleaner.dead_thread_count);
    add_counter(out, "odradek_log_cleaner_cleanings_total", "Logs cleaned since the start.", cleaner.cleanings);
    add_counter(out, "odradek_log_cleaner_read_bytes_total", "Bytes that the cleaner has read since the start.",
                cleaner.bytes_read);
    add_counter(out, "odradek_log_cleaner_written_bytes_total", "Bytes that the cleaner has kept since the start.",
                cleaner.bytes_written);
}

// --- log directories

void add_log_dirs(Families& out, const std::vector<BrokerFigures::LogDir>& log_dirs) {
    std::map<std::string, BrokerFigures::LogDir> by_path;
    for (const BrokerFigures::LogDir& each : log_dirs) by_path[each.info.path] = each;
    using Dir = const BrokerFigures::LogDir&;
    using Number = std::optional<double>;
    const auto add = [&](const char* name, const char* help, const auto& value) {
        add_by_log_dir(out, name, MetricType::Gauge, help, by_path, value);
    };
    const auto online = [](Dir dir, auto number) -> Number {
        return dir.info.offline ? std::nullopt : Number{static_cast<double>(number)};
    };
    add_gauge(out, "kafka_log_logmanager_offlinelogdirectorycount", "Log directories that are offline.",
              std::ranges::count_if(log_dirs, [](Dir dir) { return dir.info.offline; }));
    add("kafka_log_logmanager_logdirectoryoffline", "1: the log directory is offline.",
        [](Dir dir) -> Number { return dir.info.offline ? 1 : 0; });
    add("odradek_log_directory_held_back",
        "1: the disk does not keep up, and appends to partitions of the directory wait for it.",
        [](Dir dir) -> Number { return dir.info.holds_back ? 1 : 0; });
    add("odradek_log_directory_partitions", "Partitions of which the directory holds the log.",
        [&](Dir dir) { return online(dir, dir.logs); });
    add("odradek_log_directory_log_bytes", "Bytes of records in these logs.",
        [&](Dir dir) { return online(dir, dir.logs_bytes); });
    add("odradek_log_directory_filesystem_bytes", "Size of the directory's file system.",
        [&](Dir dir) { return online(dir, dir.info.total_bytes); });
    add("odradek_log_directory_filesystem_usable_bytes", "What is free there for the broker.",
        [&](Dir dir) { return online(dir, dir.info.usable_bytes); });
}

// --- the process, under the names that Prometheus' own client libraries give them

void add_process(Families& out, const ProcessFigures& process) {
    add_counter(out, "process_cpu_seconds_total", "CPU time of user and system.", process.cpu_seconds);
    add_gauge(out, "process_start_time_seconds", "When the process started, since 1970.", process.start_seconds);
    add_gauge(out, "process_resident_memory_bytes", "Resident memory.", process.resident_bytes);
    add_gauge(out, "process_virtual_memory_bytes", "Address space.", process.virtual_bytes);
    add_gauge(out, "process_open_fds", "Open file descriptors.", process.open_fds);
    add_gauge(out, "process_max_fds", "As many descriptors may be open.", process.max_fds);
}

}  // namespace

std::string metrics_text(const BrokerFigures& figures) {
    Families out;
    add_sample(add_family(out, "odradek_build_info", MetricType::Gauge, "1; the version stands in the label."), 1,
               {{"version", figures.version}});
    add_gauge(out, "kafka_server_replicamanager_partitioncount", "Partitions on this broker.", figures.partitions);
    add_gauge(out, "kafka_server_socket_server_metrics_connection_count", "Open connections of clients.",
              figures.connections);
    add_scrub(out, figures.scrubs);
    add_cleaner(out, figures.cleaner);
    add_log_dirs(out, figures.log_dirs);
    if (figures.process) add_process(out, *figures.process);
    return prometheus::TextSerializer{}.Serialize(out);
}

}  // namespace odr::console
