#include "metadata/persistent_map.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "base/random.h"

namespace odr::metadata {

template <class Map>
static std::map<std::string, int> contents(const Map& map) {
    std::map<std::string, int> all;
    map.for_each([&](const std::string& key, int value) { all.emplace(key, value); });
    return all;
}

// Few values, so that keys collide down to the last level.
struct BadHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return text.size() % 3; }
};

template <class Hash>
static void agree_with_a_model(std::uint64_t seed, std::uint64_t keys) {
    SeededRandom random{seed};
    using Map = PersistentMap<std::string, int, Hash>;
    Map map;
    std::map<std::string, int> model;
    std::vector<std::pair<Map, std::map<std::string, int>>> kept;  // copies must stay as they were
    for (int step = 0; step < 4000; ++step) {
        const std::string key(random.next() % 40, static_cast<char>('a' + random.next() % keys));
        if (random.next() % 3 == 0) {
            EXPECT_EQ(map.erase(key), model.erase(key) == 1);
        } else {
            EXPECT_EQ(map.set(key, step), !model.contains(key));
            model[key] = step;
        }
        ASSERT_EQ(map.size(), model.size());
        const auto found = model.find(key);
        const int* value = map.find(key);
        ASSERT_EQ(value != nullptr, found != model.end());
        if (value != nullptr) {
            ASSERT_EQ(*value, found->second);
        }
        if (step % 500 == 0) kept.emplace_back(map, model);
    }
    EXPECT_EQ(contents(map), model);
    for (const auto& [copy, want] : kept) EXPECT_EQ(contents(copy), want);
}

TEST(PersistentMapTest, AgreesWithAModelAndItsCopiesNeverChange) { agree_with_a_model<TextHash>(1, 26); }
TEST(PersistentMapTest, KeysOfOneHashAreAllKept) { agree_with_a_model<BadHash>(2, 20); }

TEST(PersistentMapTest, AnEmptiedMapIsAsANewOne) {
    PersistentMap<int, int> map;
    for (int i = 0; i < 1000; ++i) map.set(i, i);
    for (int i = 0; i < 1000; ++i) EXPECT_TRUE(map.erase(i));
    EXPECT_TRUE(map.empty());
    EXPECT_TRUE(map.is_same(PersistentMap<int, int>{}));
}

TEST(PersistentMapTest, ValuesAreFreedWithTheLastMapThatHasThem) {
    auto value = std::make_shared<int>(1);
    {
        PersistentMap<int, std::shared_ptr<int>> map;
        map.set(1, value);
        auto copy = map;
        copy.erase(1);
        EXPECT_EQ(value.use_count(), 2);
    }
    EXPECT_EQ(value.use_count(), 1);
}

TEST(PersistentMapTest, AMissOfEraseSharesOn) {
    PersistentMap<int, int> map;
    map.set(1, 1);
    auto copy = map;
    EXPECT_FALSE(copy.erase(2));
    EXPECT_TRUE(copy.is_same(map));
}

}  // namespace odr::metadata
