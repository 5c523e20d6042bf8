#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "base/random.h"
#include "cli/commands.h"
#include "metadata/formatter.h"

namespace odr::cli {

void add_random_uuid(CLI::App& app, int& /*status*/) {
    CLI::App* command = app.add_subcommand("random-uuid", "Print a new cluster id, for `odradek format -t`");
    command->callback([] { fmt::print("{}\n", metadata::random_cluster_id(system_random())); });
}

std::string version_text() { return "odradek " ODRADEK_VERSION ", compatible with Apache Kafka 4.3.0"; }

}  // namespace odr::cli
