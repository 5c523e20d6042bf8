#pragma once

#include <string>

namespace CLI {
class App;
}

// The subcommands of `odradek`. Each adds itself to the command line and, when called, sets the exit status.
namespace odr::cli {

void add_start(CLI::App& app, int& status);
void add_format(CLI::App& app, int& status);
void add_random_uuid(CLI::App& app, int& status);
void add_log(CLI::App& app, int& status);
std::string version_text();

}  // namespace odr::cli
