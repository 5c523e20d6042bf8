#include <gtest/gtest.h>

#include <deque>

#include "base/random.h"
#include "storage/log_test_support.h"

// Random work on a log, with power losses, against a model that is a list of batches.
namespace odr::storage::test {
namespace {

constexpr std::uint64_t kSeeds = 500;
constexpr int kSteps = 60;

struct ModelBatch {
    Offset base, last;
    std::vector<std::uint8_t> bytes;
};

config::LogConfig small_segments() {
    config::LogConfig settings;
    settings.segment_bytes = 2000;
    settings.index_interval_bytes = 300;
    return settings;
}

class Model {
public:
    explicit Model(std::uint64_t seed) : random_{seed}, fixture_{small_segments()} {}

    void run() {
        for (int step = 0; step < kSteps && !::testing::Test::HasFatalFailure(); ++step) {
            switch (random_.next() % 16) {
                case 0:
                    truncate();
                    break;
                case 1:
                    delete_records();
                    break;
                case 2:
                    flush();
                    break;
                case 3:
                    crash();
                    break;
                case 4:
                    restart_cleanly();
                    break;
                case 5:
                    full_disk();
                    break;
                case 6:
                    ASSERT_TRUE(fixture_.log->release_idle(kMayBlock, fixture_.now, 0));
                    break;
                case 7:
                    ASSERT_TRUE(fixture_.log->roll(kMayBlock, fixture_.now));
                    break;
                case 8:
                    ASSERT_TRUE(fixture_.log->delete_old_segments(kMayBlock, fixture_.now));
                    break;
                default:
                    append();
                    break;
            }
            check();
        }
    }

private:
    std::uint64_t pick(std::uint64_t below) { return random_.next() % below; }

    void append() {
        std::vector<std::vector<std::uint8_t>> batches;
        for (std::uint64_t n = 1 + pick(4); n > 0; --n) {
            batches.push_back(make_batch({.records = 1 + static_cast<int>(pick(3)),
                                          .timestamp = static_cast<std::int64_t>(1'000 + pick(500)),
                                          .value_bytes = pick(200),
                                          .fill = static_cast<char>('a' + pick(26))}));
        }
        std::vector<Result<AppendInfo>> results;
        fixture_.append_all(batches, &results, LeaderEpoch{epoch_});
        for (std::size_t i = 0; i < batches.size(); ++i) {
            ASSERT_TRUE(results[i].has_value()) << results[i].error().what;
            ASSERT_EQ(results[i]->base_offset, end_);
            batches_.push_back({results[i]->base_offset, results[i]->last_offset, batches[i]});
            end_ = results[i]->last_offset + 1;
        }
        fixture_.log->set_high_watermark(end_);
    }
    void full_disk() {
        fixture_.files.fail_writes(1, 28, pick(100));
        std::vector<std::vector<std::uint8_t>> batches{make_batch({.value_bytes = 50})};
        std::vector<Result<AppendInfo>> results;
        fixture_.append_all(batches, &results, LeaderEpoch{epoch_});
        fixture_.files.fail_writes(0, 0);
        if (results[0].has_value()) {  // the failure hit something that did not matter
            batches_.push_back({results[0]->base_offset, results[0]->last_offset, batches[0]});
            end_ = results[0]->last_offset + 1;
        }
        ASSERT_FALSE(fixture_.log->is_offline());
    }
    void truncate() {
        if (batches_.empty() || pick(2) == 0) return;
        const std::size_t kept = pick(batches_.size() + 1);
        const Offset to = kept == batches_.size() ? end_ : batches_[kept].base;
        ASSERT_TRUE(fixture_.log->truncate_to(kMayBlock, to).has_value());
        batches_.resize(kept);
        end_ = std::min(end_, to);
        start_ = std::min(start_, end_);
        flushed_ = std::min(flushed_, end_);
        ++epoch_;
    }
    void delete_records() {
        if (end_ == start_) return;
        const Offset to = start_ + static_cast<std::int64_t>(pick(static_cast<std::uint64_t>(end_ - start_) + 1));
        fixture_.log->set_high_watermark(end_);
        ASSERT_TRUE(fixture_.log->advance_log_start_offset(to).has_value());
        start_ = std::max(start_, to);
    }
    void flush() {
        ASSERT_TRUE(fixture_.log->flush(kMayBlock).has_value());
        flushed_ = end_;
        if (pick(2) == 0) fixture_.checkpoint();
    }
    void restart_cleanly() {
        fixture_.restart_cleanly();
        flushed_ = end_;
        ASSERT_EQ(fixture_.log->log_end_offset(), end_);
        fixture_.log->set_high_watermark(end_);
    }
    void crash() {
        fixture_.files.crash(random_.next());
        fixture_.recovery_point = std::min(fixture_.recovery_point, flushed_);
        fixture_.log_start = std::min(fixture_.log_start, start_);
        fixture_.open();
        ASSERT_FALSE(::testing::Test::HasFatalFailure());
        const Offset end = fixture_.log->log_end_offset();
        ASSERT_GE(end, flushed_) << "a flushed record is gone";
        ASSERT_LE(end, end_);
        while (!batches_.empty() && batches_.back().last >= end) batches_.pop_back();
        end_ = end;
        start_ = fixture_.log->log_start_offset();
        fixture_.log->set_high_watermark(end_);
        ++epoch_;
    }

    // Everything that may be read is what was written.
    void check() {
        if (::testing::Test::HasFatalFailure()) return;
        ASSERT_EQ(fixture_.log->log_end_offset(), end_);
        ASSERT_EQ(fixture_.log->log_start_offset(), start_);
        if (pick(4) != 0) return;
        Offset next = start_;
        std::size_t i = 0;
        while (i < batches_.size() && batches_[i].last < next) ++i;
        while (next < end_) {
            const auto plan = fixture_.read(next, 1 + pick(3000));
            ASSERT_TRUE(plan.has_value()) << plan.error().what;
            const auto bytes = LogFixture::bytes_of(plan->slice);
            record::BatchIterator walk{bytes};
            const Offset before = next;
            for (;;) {
                const auto batch = walk.next();
                ASSERT_TRUE(batch.has_value());
                if (!*batch) break;
                ASSERT_LT(i, batches_.size());
                const ByteView expected{batches_[i].bytes};
                ASSERT_TRUE(std::ranges::equal((*batch)->bytes(), expected)) << "at offset " << next.raw();
                next = (*batch)->next_offset();
                ++i;
            }
            ASSERT_GT(next, before) << "a read without progress";
        }
        ASSERT_EQ(i, batches_.size());
    }

    SeededRandom random_;
    LogFixture fixture_;
    std::deque<ModelBatch> batches_;
    Offset start_{0}, end_{0}, flushed_{0};
    std::int32_t epoch_ = 0;
};

TEST(LogModelTest, NothingFlushedIsLostAndNothingReadWasNotWrittenWhateverTheSeed) {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        Model{seed}.run();
        if (HasFatalFailure()) break;
    }
}

}  // namespace
}  // namespace odr::storage::test
