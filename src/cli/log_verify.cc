// odradek log verify: reads everything, changes nothing.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstring>
#include <memory>
#include <thread>

#include "base/clock.h"
#include "cli/finding_printer.h"
#include "cli/log_commands.h"
#include "cli/progress_line.h"
#include "io/file_hints.h"
#include "storage/log_verifier.h"

namespace odr::cli {
namespace {

struct VerifyCommand {
    std::vector<std::string> directories;
    std::size_t threads = 0;
    bool is_json = false, is_strict = false, is_quiet = false;
};

int verify(const VerifyCommand& command) {
    FindingPrinter printer{command.is_json, command.is_quiet ? storage::Severity::warning : storage::Severity::note};
    const std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
    storage::LogVerifier verifier{io::real_file_system(),
                                  {.directories = command.directories,
                                   .threads = command.threads != 0 ? command.threads : cores,
                                   .is_locked = io::is_locked},
                                  [&](const storage::Finding& finding) { printer.add(finding); }};
    const std::int64_t began_ms = system_clock().monotonic_ms();
    Result<storage::VerifySummary> summary;
    {
        ProgressLine line{verifier.progress()};
        summary = verifier.run(io::MayBlock::on_own_thread());
    }
    if (!summary) {
        fmt::print(stderr, "odradek: {}: {}{}\n", verifier.failed_path(), summary.error().what,
                   summary.error().os_errno != 0 ? fmt::format(" ({})", std::strerror(summary.error().os_errno)) : "");
        return kExitUsage;
    }
    printer.finish(*summary, system_clock().monotonic_ms() - began_ms);
    const bool is_damaged = summary->damage != 0 || (command.is_strict && summary->warnings != 0);
    return is_damaged ? kExitDamage : 0;
}

}  // namespace

void add_log_verify(CLI::App& app, int& status) {
    CLI::App* command = app.add_subcommand(
        "verify", "Check every file of log directories, ours or Apache Kafka's, and write none of them");
    auto options = std::make_shared<VerifyCommand>();
    command->add_option("DIR", options->directories, "Log directories (all of log.dirs), or folders of partitions")
        ->required();
    command->add_flag("--json", options->is_json, "One JSON object with findings and summary");
    command->add_flag("--strict", options->is_strict, "Warnings count as damage for the exit status");
    command->add_flag("-q,--quiet", options->is_quiet, "No notes");
    command->add_option("--threads", options->threads, "Threads that read (default: one a core)");
    command->footer(
        "Checks: the CRC of every batch, the records in it (unpacked), the order of offsets, gaps, leader epochs,\n"
        "producers' sequences, aborted transactions, every entry of .index, .timeindex and .txnindex, producer\n"
        "snapshots, checkpoint files, meta.properties, partition.metadata, snapshots of the metadata log.\n"
        "A running broker may stay: what is being written is left out with a note. The page cache stays as it was.\n"
        "Exit status: 0 sound (warnings and notes aside), 1 damage found, 2 wrong usage or a directory that cannot be "
        "read.");
    command->callback([options, &status] { status = verify(*options); });
}

}  // namespace odr::cli
