#include "console/process_figures.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <fstream>
#include <iterator>
#include <memory>

namespace odr::console {
namespace {

std::string text_of(const char* path) {
    std::ifstream file{path};
    return {std::istreambuf_iterator<char>{file}, {}};
}

std::optional<std::uint64_t> number_in(std::string_view text) {
    std::uint64_t out = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (error != std::errc{} || end == text.data()) return std::nullopt;
    return out;
}

std::string_view take_word(std::string_view& text) {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(word.size());
    return word;
}

std::uint64_t count_open_fds() {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder{::opendir("/proc/self/fd"), &::closedir};
    if (folder == nullptr) return 0;
    std::uint64_t count = 0;
    while (const dirent* entry = ::readdir(folder.get())) {
        if (entry->d_name[0] != '.') ++count;
    }
    return count - 1;  // not the one that reads the folder
}

}  // namespace

// proc_pid_stat(5): field 2 is the program's name in parentheses and may hold anything; 14 and 15 are the CPU times of
// user and system, 22 the start after boot, all in ticks; 23 bytes of address space; 24 resident pages.
std::optional<ProcessFigures> parse_process_figures(std::string_view self_stat, std::string_view stat,
                                                    ProcUnits units) {
    const std::size_t name_end = self_stat.rfind(')');
    if (name_end == std::string_view::npos) return std::nullopt;
    std::string_view rest = self_stat.substr(name_end + 1);
    std::array<std::string_view, 25> fields;
    for (std::size_t i = 3; i < fields.size(); ++i) fields[i] = take_word(rest);
    const auto user = number_in(fields[14]), system = number_in(fields[15]), start = number_in(fields[22]),
               address_space = number_in(fields[23]), pages = number_in(fields[24]);
    constexpr std::string_view kBootTime = "\nbtime ";
    const std::size_t boot_at = stat.find(kBootTime);
    if (!user || !system || !start || !address_space || !pages || boot_at == std::string_view::npos) {
        return std::nullopt;
    }
    const auto boot = number_in(stat.substr(boot_at + kBootTime.size()));
    if (!boot) return std::nullopt;
    const auto ticks = static_cast<double>(units.ticks_per_second);
    return ProcessFigures{.cpu_seconds = static_cast<double>(*user + *system) / ticks,
                          .start_seconds = static_cast<double>(*boot) + static_cast<double>(*start) / ticks,
                          .resident_bytes = *pages * static_cast<std::uint64_t>(units.page_bytes),
                          .virtual_bytes = *address_space};
}

std::optional<ProcessFigures> read_process_figures() {
    auto out =
        parse_process_figures(text_of("/proc/self/stat"), text_of("/proc/stat"),
                              {.ticks_per_second = ::sysconf(_SC_CLK_TCK), .page_bytes = ::sysconf(_SC_PAGESIZE)});
    if (!out) return out;
    out->open_fds = count_open_fds();
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) out->max_fds = limit.rlim_cur;
    return out;
}

}  // namespace odr::console
