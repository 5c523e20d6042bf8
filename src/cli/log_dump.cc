// odradek log dump: what kafka-dump-log prints, and ranges, folders and JSON.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <memory>

#include "cli/dump_batches.h"
#include "cli/dump_indexes.h"
#include "cli/log_commands.h"
#include "storage/log_segment.h"

namespace odr::cli {
namespace {

struct DumpCommand {
    std::vector<std::string> paths;
    std::string files, key_class, value_class, from_time, to_time;
    bool prints = false, is_deep = false, verifies_only = false, checks_sanity = false, skips_metadata = false;
    bool offsets = false, transactions = false, metadata = false, remote = false, share = false;
    bool is_json = false, takes_indexes = false;
    std::int64_t from_offset = 0, to_offset = std::numeric_limits<std::int64_t>::max();
    std::int64_t bytes_max = std::numeric_limits<std::int32_t>::max(), message_size_max = 5 << 20;
    bool has_key_class = false, has_value_class = false;
};

// Milliseconds since 1970, or a moment as 2026-01-31T12:00:00Z.
bool parse_time(const std::string& text, std::int64_t& out) {
    if (text.empty()) return true;
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (error == std::errc{} && stop == text.data() + text.size()) return true;
    std::tm parts{};
    const char* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
    if (rest == nullptr || (*rest != '\0' && std::strcmp(rest, "Z") != 0)) return false;
    out = static_cast<std::int64_t>(::timegm(&parts)) * 1000;
    return true;
}

// Segments of a folder that may hold something of the range, and on request what stands beside them.
void add_folder(const std::string& folder, const DumpCommand& command, std::vector<std::string>& out) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator{folder}) {
        if (entry.is_regular_file()) names.push_back(entry.path().filename().string());
    }
    std::ranges::sort(names);
    for (std::size_t i = 0; i < names.size(); ++i) {
        const bool is_log = names[i].ends_with(storage::kLogSuffix);
        const auto base = storage::offset_of_file_name(names[i]);
        if (is_log && base) {
            const auto next = std::find_if(names.begin() + static_cast<std::ptrdiff_t>(i) + 1, names.end(),
                                           [](const std::string& name) { return name.ends_with(".log"); });
            const auto next_base = next == names.end() ? std::nullopt : storage::offset_of_file_name(*next);
            if (base->raw() > command.to_offset || (next_base && next_base->raw() <= command.from_offset)) continue;
        }
        if (is_log || command.takes_indexes) out.push_back(folder + "/" + names[i]);
    }
}

void dump_file(const std::string& path, const DumpOptions& options, DumpComplaints& complaints) {
    const std::string name = path.substr(path.rfind('/') + 1);
    if (!options.is_json) fmt::print("Dumping {}\n", path);
    const auto is = [&](std::string_view suffix) { return name.ends_with(suffix); };
    if (is(storage::kLogSuffix) || is(".checkpoint")) return dump_log(path, options, complaints);
    if (is(storage::kOffsetIndexSuffix)) return dump_offset_index(path, options, complaints);
    if (is(storage::kTimeIndexSuffix)) return dump_time_index(path, options, complaints);
    if (is(storage::kTxnIndexSuffix)) return dump_txn_index(path, options, complaints);
    if (is(storage::kSnapshotSuffix)) return dump_producer_snapshot(path, options, complaints);
    if (dump_small_file(path, options, complaints)) return;
    std::fflush(stdout);
    fmt::print(stderr, "Ignoring unknown file {}\n", path);
}

std::unique_ptr<RecordDecoder> decoder_of(const DumpCommand& command) {
    if (command.offsets) return make_record_decoder("offsets");
    if (command.transactions) return make_record_decoder("transaction-log");
    if (command.metadata) return make_record_decoder("cluster-metadata");
    if (command.remote) return make_record_decoder("remote-log-metadata");
    if (command.share) return make_record_decoder("share-group-state");
    return make_plain_decoder(command.key_class, command.value_class);
}

int wrong(std::string_view what) {
    fmt::print(stderr, "odradek: {}\n", what);
    return kExitUsage;
}

int dump(const DumpCommand& command) {
    DumpOptions options;
    options.decoder = decoder_of(command);
    if (!options.decoder) {
        return wrong(
            "--key-decoder-class, --value-decoder-class: known are StringDecoder, IntegerDecoder, LongDecoder "
            "and DefaultDecoder of org.apache.kafka.tools.api");
    }
    options.is_json = command.is_json;
    options.prints_contents = command.prints || command.offsets || command.transactions || command.metadata ||
                              command.remote || command.share || command.has_key_class || command.has_value_class;
    options.is_deep = command.is_deep || options.prints_contents;
    options.skips_record_metadata = command.skips_metadata;
    options.verifies_only = command.verifies_only;
    options.checks_sanity_only = command.checks_sanity;
    options.bytes_max = command.bytes_max;
    options.from_offset = Offset{command.from_offset};
    options.to_offset = Offset{command.to_offset};
    if (!parse_time(command.from_time, options.from_timestamp) || !parse_time(command.to_time, options.to_timestamp))
        return wrong("--from-time, --to-time: milliseconds since 1970, or a time such as 2026-01-31T12:00:00Z");
    std::vector<std::string> files;
    for (std::size_t at = 0; at < command.files.size();) {
        const auto comma = std::min(command.files.find(',', at), command.files.size());
        if (comma > at) files.push_back(command.files.substr(at, comma - at));
        at = comma + 1;
    }
    for (const std::string& path : command.paths) {
        if (std::filesystem::is_directory(path)) {
            add_folder(path, command, files);
        } else {
            files.push_back(path);
        }
    }
    if (files.empty()) return wrong("log dump: name files or folders of partitions");
    for (const std::string& file : files) {
        if (!std::filesystem::exists(file)) return wrong(fmt::format("{}: there is no such file", file));
    }
    DumpComplaints complaints;
    for (const std::string& file : files) dump_file(file, options, complaints);
    complaints.print();
    return complaints.has_errors ? kExitDamage : 0;
}

}  // namespace

void add_log_dump(CLI::App& app, int& status) {
    CLI::App* command = app.add_subcommand(
        "dump", "Print segments, indexes, snapshots and checkpoints, as kafka-dump-log does, with its options");
    auto options = std::make_shared<DumpCommand>();
    command->add_option("PATH", options->paths, "Files, or folders of partitions (all their segments)");
    command->add_option("--files", options->files, "The same as a list with commas, as kafka-dump-log takes it");
    command->add_flag("--indexes", options->takes_indexes, "Of folders: also what stands beside the segments");
    command->add_option("--from-offset", options->from_offset, "Only records from this offset on");
    command->add_option("--to-offset", options->to_offset, "Only records up to this offset");
    command->add_option("--from-time", options->from_time,
                        "Only records from this time on: milliseconds since 1970, or 2026-01-31T12:00:00Z");
    command->add_option("--to-time", options->to_time, "Only records up to this time");
    command->add_flag("--deep-iteration", options->is_deep, "Records too, not only batches");
    command->add_flag("--print-data-log", options->prints, "Keys and values too");
    command->add_flag("--offsets-decoder", options->offsets, "Records of __consumer_offsets");
    command->add_flag("--transaction-log-decoder", options->transactions, "Records of __transaction_state");
    command->add_flag("--cluster-metadata-decoder", options->metadata, "Records of __cluster_metadata, and snapshots");
    command->add_flag("--share-group-state-decoder", options->share, "Records of __share_group_state");
    command->add_flag("--remote-log-metadata-decoder", options->remote, "Records of __remote_log_metadata, as JSON");
    auto* key = command->add_option("--key-decoder-class", options->key_class, "How keys are printed")->expected(0, 1);
    auto* value =
        command->add_option("--value-decoder-class", options->value_class, "How values are printed")->expected(0, 1);
    command->add_flag("--skip-record-metadata", options->skips_metadata, "Of records only key and value");
    command->add_option("--max-bytes", options->bytes_max, "Read no more than this of each segment");
    command->add_option("--max-message-size", options->message_size_max, "Taken for kafka-dump-log's sake; no effect");
    command->add_flag("--verify-index-only", options->verifies_only, "Check indexes and print no entries");
    command->add_flag("--index-sanity-check", options->checks_sanity, "The check of a start of Apache Kafka");
    command->add_flag("--json", options->is_json, "A JSON object a line");
    command->footer("Exit status: 0, 1 something could not be read, 2 wrong usage.");
    command->callback([options, key, value, &status] {
        options->has_key_class = key->count() > 0;
        options->has_value_class = value->count() > 0;
        status = dump(*options);
    });
}

}  // namespace odr::cli
