// odradek log repair: says what it would do, and with --execute does it.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>

#include "cli/finding_printer.h"
#include "cli/log_commands.h"
#include "io/file_hints.h"
#include "storage/log_repair.h"

namespace odr::cli {
namespace {

struct RepairCommand {
    std::vector<std::string> directories;
    std::size_t threads = 0;
    bool executes = false, is_dry = false, is_json = false;
};

// Counts what is left and prints it, as lines or as one JSON object.
class RepairReport {
public:
    explicit RepairReport(bool is_json) : is_json_{is_json} {
        if (!is_json_) return;
        json_.begin_object();
        json_.name("steps");
        json_.begin_array();
    }
    void step(const storage::RepairStep& step, std::string_view outcome, std::string_view why = {}) {
        if (!is_json_) {
            fmt::print("{}: {}\n    found: {}\n    {}{}{}\n", outcome, step.file, step.reason, step.text,
                       why.empty() ? "" : ": ", why);
            return;
        }
        json_.begin_object();
        for (const auto& [name, value] : {std::pair<std::string_view, std::string_view>{"outcome", outcome},
                                          {"file", step.file},
                                          {"found", step.reason},
                                          {"step", step.text},
                                          {"why", why}}) {
            json_.name(name);
            json_.value(value);
        }
        json_.end_object();
    }
    void finish(const std::vector<storage::Finding>& beyond, bool executes, std::size_t steps) {
        if (!is_json_) {
            for (const storage::Finding& finding : beyond) {
                fmt::print("beyond repair: {}", finding.file);
                if (finding.first_offset != kNoOffset) fmt::print(", offset {}", finding.first_offset);
                fmt::print(": {}\n    {}\n", finding.what, finding.advice);
            }
            if (steps == 0 && beyond.empty()) fmt::print("nothing to repair\n");
            if (steps != 0 && !executes) fmt::print("nothing was changed; --execute does it\n");
            return;
        }
        json_.end_array();
        json_.name("beyondRepair");
        json_.begin_array();
        for (const storage::Finding& finding : beyond) {
            json_.begin_object();
            json_.name("file");
            json_.value(std::string_view{finding.file});
            json_.name("what");
            json_.value(std::string_view{finding.what});
            json_.end_object();
        }
        json_.end_array();
        json_.name("executed");
        json_.value(executes);
        json_.end_object();
        fmt::print("{}\n", json_.text());
    }

private:
    const bool is_json_;
    protocol::JsonWriter json_;
};

int fail_with(const std::string& path, const Error& error) {
    if (error.os_errno == EAGAIN) {
        fmt::print(stderr, "odradek: {}: a broker uses this directory; stop it first\n", path);
    } else {
        fmt::print(stderr, "odradek: {}: {}{}\n", path, error.what,
                   error.os_errno != 0 ? fmt::format(" ({})", std::strerror(error.os_errno)) : "");
    }
    return kExitUsage;
}

int repair(const RepairCommand& command) {
    const io::MayBlock may_block = io::MayBlock::on_own_thread();
    const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
    storage::LogRepair repair{io::real_file_system(),
                              {.directories = command.directories,
                               .threads = command.threads != 0 ? command.threads : cores,
                               .is_locked = io::is_locked}};
    auto plan = repair.plan(may_block);
    if (!plan) return fail_with(repair.failed_path(), plan.error());
    RepairReport report{command.is_json};
    if (!command.executes) {
        for (const storage::RepairStep& step : plan->steps) report.step(step, "would repair");
        report.finish(plan->beyond_repair, false, plan->steps.size());
        return plan->steps.empty() && plan->beyond_repair.empty() ? 0 : kExitDamage;
    }
    if (const auto locked = repair.lock(); !locked) return fail_with(repair.failed_path(), locked.error());
    // Once more: a broker may have run in between.
    plan = repair.plan(may_block);
    if (!plan) return fail_with(repair.failed_path(), plan.error());
    std::size_t refused = 0;
    for (const storage::RepairStep& step : plan->steps) {
        const auto done = repair.execute(may_block, step);
        report.step(step, done ? "repaired" : "left alone", done ? std::string_view{} : done.error().what);
        refused += done ? 0 : 1;
    }
    report.finish(plan->beyond_repair, true, plan->steps.size());
    return refused == 0 && plan->beyond_repair.empty() ? 0 : kExitDamage;
}

}  // namespace

void add_log_repair(CLI::App& app, int& status) {
    CLI::App* command = app.add_subcommand(
        "repair", "Mend what `log verify` found, as far as that is safe; without --execute only say how");
    auto options = std::make_shared<RepairCommand>();
    command->add_option("DIR", options->directories, "Log directories (all of log.dirs), or folders of partitions")
        ->required();
    auto* dry = command->add_flag("--dry-run", options->is_dry, "Only say what would be done (the default)");
    command->add_flag("--execute,--yes", options->executes, "Do it")->excludes(dry);
    command->add_flag("--json", options->is_json, "One JSON object");
    command->add_option("--threads", options->threads, "Threads that read (default: one a core)");
    command->footer(
        "Makes anew what the batches tell: offset, time and transaction indexes, producer snapshots, leader epochs;\n"
        "cuts a torn tail behind the recovery point; rewrites checkpoints; takes a lost topic id from the topic's "
        "other\n"
        "partitions; removes left-overs. What is replaced or cut is kept beside as FILE.damaged. Batches whose CRC is\n"
        "right are never touched, and broken ones below the recovery point are left for you to restore.\n"
        "Needs a stopped broker. Exit status: 0 nothing is left to do, 1 something is, 2 wrong usage, a directory "
        "that\n"
        "cannot be read, or a running broker.");
    command->callback([options, &status] { status = repair(*options); });
}

}  // namespace odr::cli
