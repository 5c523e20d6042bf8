#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/consumer_group.h"
#include "metadata/image.h"

namespace odr::coordinator {

// Gives: what is wrong with a regex in RE2's syntax; nullopt: nothing.
std::optional<std::string> regex_error(const std::string& regex);

// Finds the topics that match some regexes, in slices. Names match as a whole. RE2 takes time linear in the name.
//
// Threads: one at a time. Kafka: TopicRegexResolver.
class RegexResolution {
public:
    // Regexes that are wrong match nothing. The image is that of the start.
    RegexResolution(const std::set<std::string, std::less<>>& regexes,
                    const std::shared_ptr<const metadata::MetadataImage>& image, std::int64_t now_ms);
    ~RegexResolution();
    RegexResolution(const RegexResolution&) = delete;
    RegexResolution& operator=(const RegexResolution&) = delete;

    // Matches on, for some hundred microseconds. Gives: whether it is done.
    bool step();
    // Needs: step() said it is done.
    const std::map<std::string, ResolvedRegex, std::less<>>& result() const { return result_; }

private:
    struct Pattern;
    std::shared_ptr<const metadata::MetadataImage> image_;  // owns the names
    std::vector<std::string_view> names_;
    std::size_t next_ = 0;
    std::vector<Pattern> patterns_;
    std::map<std::string, ResolvedRegex, std::less<>> result_;
};

}  // namespace odr::coordinator
