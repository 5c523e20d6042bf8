#include "storage/log_scrubber.h"

#include "storage/log_directory_test_support.h"

namespace odr::storage::test {
namespace {

class ScrubFixture : public DirectoryFixture {
public:
    explicit ScrubFixture(ScrubConfig settings = {.bytes_per_second = 1 << 20, .interval_ms = 3'600'000})
        : settings_{settings} {
        start();
    }
    void start() {
        scrubber = std::make_unique<LogScrubber>(files, clock, std::vector<std::string>{"/logs"}, settings_);
    }
    // Gives: how many slices ran.
    int run(int turns) {
        int ran = 0;
        for (int i = 0; i < turns; ++i, clock.advance_ms(500)) {
            if (!scrubber->begin_slice(0)) continue;
            scrubber->run_slice(kMayBlock, 0);
            ++ran;
        }
        return ran;
    }
    std::uint64_t sealed_bytes() const {
        std::uint64_t out = 0;
        for (std::size_t i = 0; i + 1 < segments.size(); ++i) out += get(segment(i)).size();
        return out;
    }

    ManualClock clock;
    std::unique_ptr<LogScrubber> scrubber;

private:
    ScrubConfig settings_;
};

TEST(LogScrubberTest, ACycleReadsAllSealedSegmentsOnceAndThenRests) {
    ScrubFixture fixture;
    EXPECT_LT(fixture.run(20), 20);
    EXPECT_EQ(fixture.scrubber->counters().bytes, fixture.sealed_bytes());
    EXPECT_EQ(fixture.scrubber->counters().segments, fixture.segments.size() - 1);
    EXPECT_EQ(fixture.scrubber->counters().damaged_ranges, 0U);
    fixture.clock.advance_ms(3'600'000);
    fixture.run(20);
    EXPECT_EQ(fixture.scrubber->counters().cycles, 2U);
}

TEST(LogScrubberTest, AFlippedBitInASealedSegmentIsNamedWithItsBytesAndOffsets) {
    ScrubFixture fixture;
    const auto batch = fixture.batches(1)[2];
    fixture.flip(fixture.segment(1), batch.position + 70);
    fixture.run(20);
    const ScrubState state = fixture.scrubber->state(0);
    ASSERT_EQ(state.findings.size(), 1U);
    EXPECT_EQ(state.findings[0].file, fixture.segment(1));
    EXPECT_EQ(state.findings[0].position, batch.position);
    EXPECT_EQ(state.findings[0].length, batch.size);
    EXPECT_EQ(state.findings[0].first_offset, batch.first);
    EXPECT_EQ(state.findings[0].last_offset, batch.last);
    EXPECT_EQ(fixture.scrubber->counters().damaged_ranges, 1U);
    // The rest was read all the same.
    EXPECT_EQ(fixture.scrubber->counters().bytes, fixture.sealed_bytes());
}

TEST(LogScrubberTest, TheSameDamageCountsOnceAndARestoredFileClearsIt) {
    ScrubFixture fixture;
    fixture.flip(fixture.segment(1), 70);
    fixture.run(20);
    fixture.clock.advance_ms(3'600'000);
    fixture.run(20);
    EXPECT_EQ(fixture.scrubber->state(0).damaged_ranges, 1U);
    EXPECT_EQ(fixture.scrubber->state(0).findings.size(), 1U);
    fixture.flip(fixture.segment(1), 70);
    fixture.clock.advance_ms(3'600'000);
    fixture.run(20);
    EXPECT_EQ(fixture.scrubber->state(0).damaged_ranges, 1U);
    EXPECT_TRUE(fixture.scrubber->state(0).findings.empty());
}

TEST(LogScrubberTest, TheRateBoundsWhatIsReadInASecond) {
    ScrubFixture fixture{{.bytes_per_second = 1000, .interval_ms = 3'600'000}};
    fixture.run(8);  // four seconds
    const auto bytes = fixture.scrubber->counters().bytes;
    EXPECT_GT(bytes, 1000U);
    EXPECT_LE(bytes, 4500U);
}

TEST(LogScrubberTest, ARestartGoesOnWithTheSegmentThatWasBeingRead) {
    ScrubFixture fixture{{.bytes_per_second = 4000, .interval_ms = 3'600'000}};
    fixture.flip(fixture.segment(0), 70);
    fixture.run(4);
    const ScrubState before = fixture.scrubber->state(0);
    ASSERT_LT(before.cycle_ended.raw(), 0);
    ASSERT_GT(before.segments, 0U);
    fixture.scrubber->stop(kMayBlock);
    fixture.start();
    EXPECT_EQ(fixture.scrubber->state(0), before);
    fixture.run(40);
    const ScrubState after = fixture.scrubber->state(0);
    EXPECT_EQ(after.cycle, before.cycle);
    EXPECT_GE(after.cycle_ended.raw(), 0);
    EXPECT_EQ(after.damaged_ranges, 1U);
    EXPECT_EQ(after.findings.size(), 1U);
    // Nothing but the segment under way was read a second time.
    EXPECT_LT(after.bytes, fixture.sealed_bytes() + 2500);
}

TEST(LogScrubberTest, ZeroBytesASecondAreNoScrub) {
    ScrubFixture fixture{{.bytes_per_second = 0, .interval_ms = 1}};
    EXPECT_EQ(fixture.scrubber->directory_count(), 0U);
    fixture.scrubber->stop(kMayBlock);
    EXPECT_FALSE(fixture.files.exists("/logs/.odradek-scrub"));
}

TEST(LogScrubberTest, ASegmentThatIsReplacedMeanwhileIsNoDamage) {
    ScrubFixture fixture{{.bytes_per_second = 4000, .interval_ms = 3'600'000}};
    fixture.run(1);  // has the first segment open
    const std::string whole = fixture.get(fixture.segment(0));
    // Cut by a follower's truncation while it is being read.
    fixture.put(fixture.segment(0), whole.substr(0, 900));
    fixture.run(40);
    EXPECT_EQ(fixture.scrubber->counters().damaged_ranges, 0U);
}

TEST(LogScrubberTest, AStateOfNobodysIsRefusedAndTheScrubStartsAnew) {
    ScrubFixture fixture;
    fixture.run(20);
    const std::string text = fixture.get(kScrubStateFile);
    const auto state = decode_scrub_state(text);
    ASSERT_TRUE(state.has_value());
    EXPECT_EQ(encode_scrub_state(*state), text);
    for (const char* wrong : {"", "odradek scrub 2\n", "odradek scrub 1\ncycle=x\n", "odradek scrub 1\nfinding=a\t1\n"})
        EXPECT_FALSE(decode_scrub_state(wrong).has_value()) << wrong;
    fixture.put(kScrubStateFile, "garbage");
    fixture.start();
    EXPECT_EQ(fixture.scrubber->state(0).cycle, 0);
}

}  // namespace
}  // namespace odr::storage::test
