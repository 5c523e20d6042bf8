#pragma once

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>

namespace odr::controller {

// Topics whose names differ only in '.' and '_': they would share metric names, so the second one is refused.
//
// Owner: State. Threads: the controller's.
class CollidingNames {
public:
    static bool can_collide(std::string_view name) { return name.find_first_of("._") != std::string_view::npos; }

    void add(std::string_view name) {
        if (can_collide(name)) names_[unified(name)].emplace(name);
    }
    void remove(std::string_view name) {
        if (!can_collide(name)) return;
        const auto found = names_.find(unified(name));
        if (found == names_.end()) return;
        found->second.erase(std::string{name});
        if (found->second.empty()) names_.erase(found);
    }
    // Gives: a topic that `name` collides with (or that has this very name), nullptr if there is none.
    const std::string* find(std::string_view name) const {
        if (!can_collide(name)) return nullptr;
        const auto found = names_.find(unified(name));
        return found == names_.end() ? nullptr : &*found->second.begin();
    }

private:
    static std::string unified(std::string_view name) {
        std::string text{name};
        std::ranges::replace(text, '.', '_');
        return text;
    }
    std::unordered_map<std::string, std::set<std::string>> names_;
};

}  // namespace odr::controller
