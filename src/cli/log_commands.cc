#include "cli/log_commands.h"

#include <CLI/CLI.hpp>

#include "cli/commands.h"

namespace odr::cli {

void add_log(CLI::App& app, int& status) {
    CLI::App* command = app.add_subcommand("log", "Look into data directories, check and repair them");
    command->require_subcommand(1);
    add_log_dump(*command, status);
    add_log_verify(*command, status);
    add_log_repair(*command, status);
    add_log_scrub_status(*command, status);
}

}  // namespace odr::cli
