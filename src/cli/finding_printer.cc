#include "cli/finding_printer.h"

#include <fmt/core.h>

namespace odr::cli {

using storage::Finding;

namespace {

std::string line_of(const Finding& finding) {
    std::string line = fmt::format("{}: {}", to_string(finding.severity), finding.file);
    if (finding.position != Finding::kNowhere) {
        line += finding.length != 0
                    ? fmt::format(": bytes {}-{}", finding.position, finding.position + finding.length - 1)
                    : fmt::format(": byte {}", finding.position);
    }
    if (finding.first_offset != kNoOffset) {
        if (finding.last_offset == finding.first_offset) {
            line += fmt::format(", offset {}", finding.first_offset);
        } else if (finding.last_offset != kNoOffset) {
            line += fmt::format(", offsets {}-{}", finding.first_offset, finding.last_offset);
        } else {
            line += fmt::format(", offset {} and on", finding.first_offset);
        }
    }
    line += fmt::format(": {}", finding.what);
    if (!finding.advice.empty()) line += fmt::format("\n    {}", finding.advice);
    return line;
}

}  // namespace

FindingPrinter::FindingPrinter(bool is_json, storage::Severity least) : is_json_{is_json}, least_{least} {
    if (!is_json_) return;
    json_.begin_object();
    json_.name("findings");
    json_.begin_array();
}

void FindingPrinter::add(const Finding& finding) {
    if (finding.severity < least_) return;
    if (!is_json_) {
        fmt::print("{}\n", line_of(finding));
        return;
    }
    if (++count_ > kJsonFindingsMax) return;
    json_.begin_object();
    json_.name("severity");
    json_.value(to_string(finding.severity));
    json_.name("kind");
    json_.value(to_string(finding.kind));
    json_.name("file");
    json_.value(std::string_view{finding.file});
    const auto number = [&](std::string_view name, bool is_known, std::int64_t value) {
        json_.name(name);
        is_known ? json_.value(value) : json_.null();
    };
    number("position", finding.position != Finding::kNowhere, static_cast<std::int64_t>(finding.position));
    number("length", finding.length != 0, static_cast<std::int64_t>(finding.length));
    number("firstOffset", finding.first_offset != kNoOffset, finding.first_offset.raw());
    number("lastOffset", finding.last_offset != kNoOffset, finding.last_offset.raw());
    json_.name("what");
    json_.value(std::string_view{finding.what});
    json_.name("advice");
    json_.value(std::string_view{finding.advice});
    json_.name("repairable");
    json_.value(finding.remedy != storage::Remedy::none);
    json_.end_object();
}

void FindingPrinter::finish(const storage::VerifySummary& summary, std::int64_t took_ms) {
    const double seconds = static_cast<double>(took_ms) / 1000;
    const double megabytes = static_cast<double>(summary.bytes) / 1e6;
    if (!is_json_) {
        for (const std::string& path : summary.live_directories)
            fmt::print("{}: in use by a broker; the end of each log is moving and was not judged\n", path);
        fmt::print(
            "{} logs, {} segments, {} batches, {} records, {:.1f} MB in {:.1f} s ({:.0f} MB/s): {} damaged, {} "
            "warnings, {} notes\n",
            summary.partitions, summary.segments, summary.batches, summary.records, megabytes, seconds,
            took_ms > 0 ? megabytes / seconds : megabytes, summary.damage, summary.warnings, summary.notes);
        return;
    }
    json_.end_array();
    json_.name("summary");
    json_.begin_object();
    const auto number = [&](std::string_view name, std::uint64_t value) {
        json_.name(name);
        json_.value(static_cast<std::int64_t>(value));
    };
    number("directories", summary.directories);
    number("logs", summary.partitions);
    number("segments", summary.segments);
    number("batches", summary.batches);
    number("records", summary.records);
    number("bytes", summary.bytes);
    number("damage", summary.damage);
    number("warnings", summary.warnings);
    number("notes", summary.notes);
    number("milliseconds", static_cast<std::uint64_t>(took_ms));
    json_.name("inUse");
    json_.begin_array();
    for (const std::string& path : summary.live_directories) json_.value(std::string_view{path});
    json_.end_array();
    json_.end_object();
    json_.end_object();
    fmt::print("{}\n", json_.text());
}

}  // namespace odr::cli
