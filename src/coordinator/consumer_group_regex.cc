#include "coordinator/consumer_group_regex.h"

#include <re2/re2.h>

#include <algorithm>

namespace odr::coordinator {
namespace {

constexpr std::size_t kMatchesPerStep = 2'000;  // of one name and one regex, some 100 ns each

RE2::Options quiet() {
    RE2::Options options;
    options.set_log_errors(false);
    return options;
}

}  // namespace

std::optional<std::string> regex_error(const std::string& regex) {
    const RE2 compiled{regex, quiet()};
    if (compiled.ok()) return std::nullopt;
    return compiled.error();
}

struct RegexResolution::Pattern {
    std::unique_ptr<RE2> regex;
    ResolvedRegex* resolved;
};

RegexResolution::RegexResolution(const std::set<std::string, std::less<>>& regexes,
                                 const std::shared_ptr<const metadata::MetadataImage>& image, std::int64_t now_ms)
    : image_{image} {
    for (const std::string& regex : regexes) {
        ResolvedRegex& resolved = result_[regex];
        resolved.version = image->offset().raw();
        resolved.timestamp_ms = now_ms;
        auto compiled = std::make_unique<RE2>(regex, quiet());
        if (compiled->ok()) patterns_.push_back({.regex = std::move(compiled), .resolved = &resolved});
    }
    names_.reserve(image->topics().size());
    image->topics().for_each([&](const metadata::TopicImage& topic) { names_.push_back(topic.name); });
}

RegexResolution::~RegexResolution() = default;

bool RegexResolution::step() {
    const std::size_t names_per_step = std::max<std::size_t>(1, kMatchesPerStep / (patterns_.size() + 1));
    const std::size_t end = std::min(names_.size(), next_ + names_per_step);
    for (; next_ < end; ++next_) {
        const re2::StringPiece name{names_[next_].data(), names_[next_].size()};
        for (const Pattern& pattern : patterns_) {
            if (RE2::FullMatch(name, *pattern.regex)) pattern.resolved->topics.emplace(names_[next_]);
        }
    }
    return next_ == names_.size();
}

}  // namespace odr::coordinator
