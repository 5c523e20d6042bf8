// odradek log scrub-status: what the scrub of a broker wrote down.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <ctime>
#include <memory>

#include "cli/log_commands.h"
#include "io/file_system.h"
#include "protocol/json.h"
#include "storage/scrub_state.h"

namespace odr::cli {
namespace {

struct StatusCommand {
    std::vector<std::string> directories;
    bool is_json = false;
};

std::string time_text(TimestampMs time) {
    const std::time_t seconds = time.raw() / 1000;
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

void print_state(const std::string& path, const storage::ScrubState& state) {
    if (state.cycle_ended.raw() >= 0) {
        fmt::print("{}: cycle {} ended {}: {} segments, {:.1f} MB\n", path, state.cycle, time_text(state.cycle_ended),
                   state.cycle_segments, static_cast<double>(state.cycle_bytes) / 1e6);
    } else {
        fmt::print("{}: cycle {} under way since {}: {} segments, {:.1f} MB so far{}{}{}{}\n", path, state.cycle,
                   time_text(state.cycle_started), state.cycle_segments, static_cast<double>(state.cycle_bytes) / 1e6,
                   state.folder.empty() ? "" : ", at ", state.folder, state.folder.empty() ? "" : "/", state.segment);
    }
    fmt::print("    ever: {} segments, {:.1f} MB, {} broken ranges\n", state.segments,
               static_cast<double>(state.bytes) / 1e6, state.damaged_ranges);
    for (const storage::ScrubFinding& finding : state.findings) {
        fmt::print("damage: {}/{}: bytes {}-{}, offsets {}-{}: {} (found {})\n", path, finding.file, finding.position,
                   finding.position + finding.length - 1, finding.first_offset,
                   finding.last_offset == kNoOffset ? std::string{"?"} : fmt::to_string(finding.last_offset.raw()),
                   finding.what, time_text(finding.found));
    }
}

void write_state(protocol::JsonWriter& json, const std::string& path, const storage::ScrubState& state) {
    const auto number = [&](std::string_view name, auto value) {
        json.name(name);
        json.value(static_cast<std::int64_t>(value));
    };
    json.begin_object();
    json.name("directory");
    json.value(std::string_view{path});
    number("cycle", state.cycle);
    number("cycleStarted", state.cycle_started.raw());
    number("cycleEnded", state.cycle_ended.raw());
    number("cycleSegments", state.cycle_segments);
    number("cycleBytes", state.cycle_bytes);
    number("segments", state.segments);
    number("bytes", state.bytes);
    number("damagedRanges", state.damaged_ranges);
    json.name("findings");
    json.begin_array();
    for (const storage::ScrubFinding& finding : state.findings) {
        json.begin_object();
        json.name("file");
        json.value(std::string_view{finding.file});
        number("position", finding.position);
        number("length", finding.length);
        number("firstOffset", finding.first_offset.raw());
        number("lastOffset", finding.last_offset.raw());
        number("found", finding.found.raw());
        json.name("what");
        json.value(std::string_view{finding.what});
        json.end_object();
    }
    json.end_array();
    json.end_object();
}

int show(const StatusCommand& command) {
    protocol::JsonWriter json;
    json.begin_array();
    int status = 0;
    for (const std::string& directory : command.directories) {
        const auto text = io::real_file_system().read_file(directory + "/" + storage::kScrubStateFile);
        const auto state = text ? storage::decode_scrub_state(*text) : fail(text.error());
        if (!state) {
            fmt::print(stderr, "odradek: {}: {}\n", directory,
                       state.error().os_errno == ENOENT ? "no scrub has begun here" : state.error().what);
            return kExitUsage;
        }
        if (!state->findings.empty()) status = kExitDamage;
        command.is_json ? write_state(json, directory, *state) : print_state(directory, *state);
    }
    json.end_array();
    if (command.is_json) fmt::print("{}\n", json.text());
    return status;
}

}  // namespace

void add_log_scrub_status(CLI::App& app, int& status) {
    CLI::App* command = app.add_subcommand(
        "scrub-status", "How far the broker's scrub of sealed segments is, and what it found; the broker may run");
    auto options = std::make_shared<StatusCommand>();
    command->add_option("DIR", options->directories, "Log directories")->required();
    command->add_flag("--json", options->is_json, "A JSON array, an object a directory");
    command->footer(
        "The scrub reads odradek.log.scrub.io.max.bytes.per.second of each log directory, all sealed segments once in\n"
        "odradek.log.scrub.interval.ms. Exit status: 0 nothing is broken, 1 something is, 2 no scrub has begun.");
    command->callback([options, &status] { status = show(*options); });
}

}  // namespace odr::cli
