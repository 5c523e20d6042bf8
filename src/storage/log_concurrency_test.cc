#include <atomic>
#include <thread>

#include "storage/log_test_support.h"

namespace odr::storage::test {
namespace {

// Meant for the thread sanitizer too: two writers, two readers, and everything that may happen beside them.
TEST(LogConcurrencyTest, ReadersSeeWholeBatchesInOrderWhileOthersWriteRollFlushAndDelete) {
    constexpr int kAppendsEach = 1'500;
    config::LogConfig settings;
    settings.segment_bytes = 4'000;
    settings.index_interval_bytes = 300;
    LogFixture fixture{settings};
    std::atomic<int> writing{2};
    const auto write = [&] {
        for (int i = 0; i < kAppendsEach; ++i) {
            ASSERT_TRUE(fixture.append(BatchSpec{}));
            fixture.log->set_high_watermark(fixture.log->log_end_offset());
        }
        --writing;
    };
    const auto read = [&] {
        Offset next{0};
        while (writing > 0 || next < fixture.log->log_end_offset()) {
            const auto plan = fixture.read(next, 500);
            if (!plan) {
                next = fixture.log->log_start_offset();  // deleted under the reader
                continue;
            }
            const auto bytes = LogFixture::bytes_of(plan->slice);
            record::BatchIterator walk{bytes};
            for (;;) {
                const auto batch = walk.next();
                ASSERT_TRUE(batch.has_value());
                if (!*batch) break;
                ASSERT_EQ((*batch)->base_offset(), next);
                ASSERT_TRUE((*batch)->is_crc_valid());
                next = (*batch)->next_offset();
            }
        }
    };
    const auto maintain = [&] {
        while (writing > 0) {
            EXPECT_TRUE(fixture.log->flush(kMayBlock));
            const Offset end = fixture.log->high_watermark();
            if (end > Offset{500}) {
                EXPECT_TRUE(fixture.log->advance_log_start_offset(end - 500));
            }
            EXPECT_TRUE(fixture.log->delete_old_segments(kMayBlock, fixture.now));
            EXPECT_TRUE(fixture.log->release_idle(kMayBlock, fixture.now, 0));
            fixture.log->remove_expired_producers(kMayBlock, fixture.now, 1);
            (void)fixture.log->offset_for_timestamp(kMayBlock, TimestampMs{1'000});
        }
    };
    std::vector<std::jthread> threads;
    threads.emplace_back(write);
    threads.emplace_back(write);
    threads.emplace_back(read);
    threads.emplace_back(read);
    threads.emplace_back(maintain);
    threads.clear();
    EXPECT_EQ(fixture.log->log_end_offset(), Offset{2 * kAppendsEach});
}

}  // namespace
}  // namespace odr::storage::test
