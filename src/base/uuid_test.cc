#include "base/uuid.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace odr {

TEST(UuidTest, TextIsUrlSafeBase64WithoutPadding) {
    EXPECT_EQ(kZeroUuid.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
    EXPECT_EQ(kMetadataTopicId.to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
}

TEST(UuidTest, RandomIdsSurviveTextAndNeverStartWithADash) {
    SeededRandom random{7};
    for (int i = 0; i < 1000; ++i) {
        const Uuid id = random.uuid();
        EXPECT_NE(id.to_string().front(), '-');
        EXPECT_EQ(Uuid::parse(id.to_string()), id);
    }
}

TEST(UuidTest, TextOfAnotherLengthOrAlphabetIsRefused) {
    EXPECT_FALSE(Uuid::parse(""));
    EXPECT_FALSE(Uuid::parse("AAAAAAAAAAAAAAAAAAAAA"));
    EXPECT_FALSE(Uuid::parse("AAAAAAAAAAAAAAAAAAAA+/"));
}

}  // namespace odr
