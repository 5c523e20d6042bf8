#include "raft/voter_set.h"

#include <algorithm>
#include <charconv>

namespace odr::raft {

const VoterNode* find_voter(const VoterSet& voters, BrokerId id) {
    const auto found = std::ranges::find(voters, id, [](const VoterNode& voter) { return voter.key.id; });
    return found == voters.end() ? nullptr : &*found;
}

template <class Number>
static bool parse_number(std::string_view text, Number& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc{} && end == text.data() + text.size();
}

Result<VoterSet> parse_static_voters(std::string_view text, std::string_view listener) {
    VoterSet voters;
    while (!text.empty()) {
        const std::size_t comma = std::min(text.find(','), text.size());
        std::string_view entry = text.substr(0, comma);
        text.remove_prefix(std::min(comma + 1, text.size()));
        while (entry.starts_with(' ')) entry.remove_prefix(1);
        while (entry.ends_with(' ')) entry.remove_suffix(1);
        const std::size_t at = entry.find('@');
        const std::size_t colon = entry.rfind(':');
        VoterNode voter;
        std::int32_t id = 0;
        VoterEndpoint endpoint{std::string{listener}, {}, 0};
        if (at == std::string_view::npos || colon == std::string_view::npos || colon < at ||
            !parse_number(entry.substr(0, at), id) || id < 0 || !parse_number(entry.substr(colon + 1), endpoint.port))
            return fail(ErrorCode::invalid_config, "controller.quorum.voters: each voter must be id@host:port");
        std::string_view host = entry.substr(at + 1, colon - at - 1);
        if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
        endpoint.host = host;
        voter.key.id = BrokerId{id};
        voter.kraft_version_max = 0;
        voter.endpoints.push_back(std::move(endpoint));
        if (find_voter(voters, voter.key.id) != nullptr)
            return fail(ErrorCode::invalid_config, "controller.quorum.voters: an id stands there twice");
        voters.push_back(std::move(voter));
    }
    std::ranges::sort(voters, {}, [](const VoterNode& voter) { return voter.key.id; });
    return voters;
}

}  // namespace odr::raft
