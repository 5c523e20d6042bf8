#pragma once

namespace CLI {
class App;
}

// The words of `odradek log`. Each adds itself below `app` and, when called, sets the exit status.
namespace odr::cli {

inline constexpr int kExitDamage = 1;  // something is wrong with the data
inline constexpr int kExitUsage = 2;   // wrong options, or a directory that cannot be read

void add_log_dump(CLI::App& app, int& status);
void add_log_verify(CLI::App& app, int& status);
void add_log_repair(CLI::App& app, int& status);
void add_log_scrub_status(CLI::App& app, int& status);

}  // namespace odr::cli
