#include <CLI/CLI.hpp>

#include "cli/commands.h"

int main(int argc, char** argv) {
    CLI::App app{
        "Odradek: an Apache Kafka broker in one small process.\n"
        "Runs with Kafka's server.properties on Kafka's data directories; Kafka's clients and tools talk to it."};
    app.set_version_flag("--version,-v", odr::cli::version_text());
    app.require_subcommand(1);
    int status = 0;
    odr::cli::add_start(app, status);
    odr::cli::add_format(app, status);
    odr::cli::add_random_uuid(app, status);
    odr::cli::add_log(app, status);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        constexpr int kWrongUsage = 2;
        return app.exit(error) == 0 ? 0 : kWrongUsage;
    }
    return status;
}
