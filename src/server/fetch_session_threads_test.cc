// Sessions on reactors of their own, partitions that change on other threads, and sessions that come and go meanwhile.
#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <latch>
#include <thread>

#include "base/clock.h"
#include "io/task.h"
#include "server/fetch_session.h"

namespace odr::server {
namespace {

constexpr std::int16_t kVersion = 12;
constexpr int kPartitions = 20;
constexpr int kWriters = 2;
constexpr std::int64_t kAppends = 400;  // of each writer to each partition
constexpr int kReaders = 3;
constexpr std::int64_t kPatienceMs = 60'000;

struct Place {
    std::atomic<std::int64_t> high_watermark{0};
    std::shared_ptr<replication::ChangeFeed> changes = std::make_shared<replication::ChangeFeed>();
};

protocol::FetchRequest request_for(std::int32_t session_id, std::int32_t epoch, const std::vector<int>& partitions,
                                   const std::array<std::int64_t, kPartitions>& offsets) {
    protocol::FetchRequest out;
    out.session_id = session_id;
    out.session_epoch = epoch;
    if (partitions.empty()) return out;
    auto& topic = out.topics.emplace_back();
    topic.topic = "t";
    for (const int partition : partitions) {
        topic.partitions.push_back(
            {.partition = partition, .fetch_offset = offsets[static_cast<std::size_t>(partition)]});
    }
    return out;
}

class FetchSessionThreadsTest : public testing::Test {
protected:
    // Looks at what is due. Gives: whether there is something to answer.
    bool look(FetchContext& context, std::vector<FetchedPartition>& found) {
        const auto targets = context.next_round();
        found.clear();
        if (!targets) return true;
        bool any = false;
        for (std::size_t i = 0; i < targets->size(); ++i) {
            const FetchTarget& target = (*targets)[i];
            Place& place = places_[static_cast<std::size_t>(target.partition)];
            context.watch(i, place.changes);
            FetchedPartition& one = found.emplace_back();
            one.target = target;
            one.data.high_watermark = place.high_watermark.load(std::memory_order_acquire);
            const bool has_more = one.data.high_watermark > target.fetch_offset.raw();
            if (has_more) one.data.records = protocol::Records::external(0, 100);
            one.is_quiet = !has_more;
            any |= has_more;
        }
        return any;
    }

    struct ReaderState {
        explicit ReaderState(int index) : reactor{index, system_clock()} {}
        io::Reactor reactor;
        std::array<std::int64_t, kPartitions> offsets{};
        std::int64_t missing = kPartitions * kWriters * kAppends;
        std::int64_t slept_in_vain = 0;
        std::int64_t refused = 0;
    };
    // Fetches until it has everything that is ever appended.
    static io::Task<void> read_all(FetchSessionThreadsTest* test, ReaderState* reader) {
        std::int32_t session_id = 0;
        std::int32_t epoch = 0;
        std::vector<int> moved;
        for (int i = 0; i < kPartitions; ++i) moved.push_back(i);
        std::vector<FetchedPartition> found;
        while (reader->missing > 0) {
            const auto request = request_for(session_id, epoch, moved, reader->offsets);
            auto context = FetchContext::open(test->cache_, request, kVersion, 1, 0);
            EXPECT_TRUE(context);
            if (!context) break;
            while (!test->look(*context, found) && context->waits_on_session()) {
                replication::FetchWaiter waiter{reader->reactor, 1, 0};
                const std::int64_t began = reader->reactor.now_ms();
                if (context->hang(waiter)) co_await waiter.until_ready(kPatienceMs);
                context->unhang(waiter);
                if (reader->reactor.now_ms() - began >= kPatienceMs) ++reader->slept_in_vain;
            }
            const auto closed = context->close(found, 0);
            EXPECT_TRUE(closed);
            if (!closed) break;
            session_id = *closed;
            ++epoch;
            moved.clear();
            for (const FetchedPartition& each : found) {
                if (each.data.records.size() == 0) continue;
                std::int64_t& offset = reader->offsets[static_cast<std::size_t>(each.target.partition)];
                reader->missing -= each.data.high_watermark - offset;
                offset = each.data.high_watermark;
                moved.push_back(each.target.partition);
            }
        }
        reader->reactor.stop();
    }

    void write(std::uint64_t seed) {
        SeededRandom random{seed};
        std::array<std::int64_t, kPartitions> left{};
        left.fill(kAppends);
        for (std::int64_t n = 0; n < kAppends * kPartitions; ++n) {
            auto at = static_cast<std::size_t>(random.next() % kPartitions);
            while (left[at] == 0) at = (at + 1) % kPartitions;
            --left[at];
            places_[at].high_watermark.fetch_add(1, std::memory_order_acq_rel);
            places_[at].changes->tell({.bytes = 1});
            if (n % 16 == 0) std::this_thread::yield();
        }
    }
    // Sessions that follow everything, of which the second request with a session supersedes the first.
    void come_and_go(const std::atomic<bool>& enough) {
        std::array<std::int64_t, kPartitions> offsets{};
        std::vector<int> all;
        for (int i = 0; i < kPartitions; ++i) all.push_back(i);
        std::vector<FetchedPartition> found;
        while (!enough) {
            auto full = FetchContext::open(cache_, request_for(0, 0, all, offsets), kVersion, 1, 0);
            look(*full, found);
            const std::int32_t id = full->close(found, 0).value_or(0);
            ASSERT_NE(id, 0);
            auto first = FetchContext::open(cache_, request_for(id, 1, {}, offsets), kVersion, 1, 0);
            look(*first, found);
            auto second = FetchContext::open(cache_, request_for(id, 2, {0, 1}, offsets), kVersion, 1, 0);
            look(*second, found);
            EXPECT_TRUE(second->close(found, 0));
            std::vector<FetchedPartition> late;
            EXPECT_FALSE(first->close(late, 0));
            cache_ended_ += FetchContext::open(cache_, request_for(id, -1, {}, offsets), kVersion, 1, 0) ? 1 : 0;
        }
    }

    FetchSessionCache cache_{1000, system_random()};
    std::array<Place, kPartitions> places_;
    std::int64_t cache_ended_ = 0;
};

TEST_F(FetchSessionThreadsTest, EveryReaderHearsOfEveryAppendAndNoneSleepsOverOne) {
    std::deque<ReaderState> readers;
    std::vector<std::thread> threads;
    for (int i = 0; i < kReaders; ++i) {
        ReaderState& reader = readers.emplace_back(i);
        threads.emplace_back([this, &reader] {
            reader.reactor.post([this, &reader] { io::spawn(read_all(this, &reader)); });
            reader.reactor.run();
        });
    }
    std::atomic<bool> enough{false};
    std::thread guests{[&] { come_and_go(enough); }};
    for (int i = 0; i < kWriters; ++i) threads.emplace_back([this, i] { write(static_cast<std::uint64_t>(i) + 1); });
    for (std::thread& thread : threads) thread.join();
    enough = true;
    guests.join();
    for (const ReaderState& reader : readers) {
        EXPECT_EQ(reader.missing, 0);
        EXPECT_EQ(reader.slept_in_vain, 0);
        for (const std::int64_t offset : reader.offsets) EXPECT_EQ(offset, kWriters * kAppends);
    }
    EXPECT_GT(cache_ended_, 0);
    EXPECT_EQ(cache_.size(), static_cast<std::size_t>(kReaders));
}

}  // namespace
}  // namespace odr::server
