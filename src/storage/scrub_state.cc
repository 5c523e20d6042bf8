#include "storage/scrub_state.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

namespace odr::storage {
namespace {

constexpr std::string_view kFirstLine = "odradek scrub 1";

std::unexpected<Error> malformed() { return fail(ErrorCode::kafka_storage_error, "no state of a scrub"); }

template <class T>
bool read(std::string_view text, T& out) {
    const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc{} && stop == text.data() + text.size();
}
template <class Tag, class Rep>
bool read(std::string_view text, Tagged<Tag, Rep>& out) {
    Rep raw{};
    if (!read(text, raw)) return false;
    out = Tagged<Tag, Rep>{raw};
    return true;
}

std::string_view until(std::string_view& text, char end) {
    const auto at = text.find(end);
    const std::string_view out = text.substr(0, at);
    text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
    return out;
}

std::optional<ScrubFinding> parse_finding(std::string_view text) {
    ScrubFinding out;
    out.file = until(text, '\t');
    if (out.file.empty() || !read(until(text, '\t'), out.position) || !read(until(text, '\t'), out.length) ||
        !read(until(text, '\t'), out.first_offset) || !read(until(text, '\t'), out.last_offset) ||
        !read(until(text, '\t'), out.found) || !read(until(text, '\t'), out.cycle)) {
        return std::nullopt;
    }
    out.what = text;
    return out;
}

}  // namespace

std::string encode_scrub_state(const ScrubState& state) {
    std::string out = fmt::format(
        "{}\ncycle={}\ncycle.started={}\ncycle.ended={}\ncycle.bytes={}\ncycle.segments={}\nfolder={}\nsegment={}\n"
        "bytes={}\nsegments={}\ndamaged.ranges={}\n",
        kFirstLine, state.cycle, state.cycle_started, state.cycle_ended, state.cycle_bytes, state.cycle_segments,
        state.folder, state.segment, state.bytes, state.segments, state.damaged_ranges);
    for (const ScrubFinding& finding : state.findings) {
        fmt::format_to(std::back_inserter(out), "finding={}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n", finding.file,
                       finding.position, finding.length, finding.first_offset, finding.last_offset, finding.found,
                       finding.cycle, finding.what);
    }
    return out;
}

Result<ScrubState> decode_scrub_state(std::string_view text) {
    if (until(text, '\n') != kFirstLine) return malformed();
    ScrubState out;
    while (!text.empty()) {
        std::string_view value = until(text, '\n');
        const std::string_view name = until(value, '=');
        bool is_read = true;
        if (name == "cycle") is_read = read(value, out.cycle);
        if (name == "cycle.started") is_read = read(value, out.cycle_started);
        if (name == "cycle.ended") is_read = read(value, out.cycle_ended);
        if (name == "cycle.bytes") is_read = read(value, out.cycle_bytes);
        if (name == "cycle.segments") is_read = read(value, out.cycle_segments);
        if (name == "folder") out.folder = value;
        if (name == "segment") out.segment = value;
        if (name == "bytes") is_read = read(value, out.bytes);
        if (name == "segments") is_read = read(value, out.segments);
        if (name == "damaged.ranges") is_read = read(value, out.damaged_ranges);
        if (name == "finding") {
            auto finding = parse_finding(value);
            is_read = finding.has_value() && out.findings.size() < ScrubState::kFindingsMax;
            if (is_read) out.findings.push_back(std::move(*finding));
        }
        if (!is_read) return malformed();
    }
    return out;
}

}  // namespace odr::storage
