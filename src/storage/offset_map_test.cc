#include "storage/offset_map.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "base/random.h"

namespace odr::storage {
namespace {

TEST(OffsetMapTest, GivesTheOffsetPutLastForEachKeyEvenWhenFull) {
    SeededRandom random{3};
    for (const std::size_t slots : {1U, 2U, 7U, 100U, 1'000U}) {
        OffsetMap map{slots, {random.next(), random.next()}};
        std::map<std::string, Offset> model;
        for (std::int64_t offset = 0; offset < 5'000; ++offset) {
            const std::string key = std::to_string(random.next() % (slots * 2));
            if (!model.contains(key) && map.is_full()) continue;
            map.put(map.hash_of(as_bytes(key)), Offset{offset});
            model[key] = Offset{offset};
            ASSERT_EQ(map.size(), model.size());
        }
        EXPECT_TRUE(map.is_full());
        EXPECT_EQ(map.utilization(), 1.0);
        for (std::size_t i = 0; i < slots * 3; ++i) {
            const std::string key = std::to_string(i);
            const auto expected = model.contains(key) ? model[key] : kNoOffset;
            ASSERT_EQ(map.get(map.hash_of(as_bytes(key))), expected) << key << " of " << slots;
        }
    }
}

TEST(OffsetMapTest, AnEmptyKeyAndOffsetZeroAreLikeOthers) {
    OffsetMap map{10, {1, 2}};
    EXPECT_EQ(map.get(map.hash_of({})), kNoOffset);
    map.put(map.hash_of({}), Offset{0});
    EXPECT_EQ(map.get(map.hash_of({})), Offset{0});
    EXPECT_EQ(map.latest_offset(), kNoOffset);
}

}  // namespace
}  // namespace odr::storage
