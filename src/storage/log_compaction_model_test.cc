#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <set>

#include "base/random.h"
#include "storage/compaction_test_support.h"

// Random work on a compacted log, with the power going at any write, sync or rename of a cleaning or of the start that
// follows, against everything that was ever appended.
namespace odr::storage::test {
namespace {

using record::ControlRecordType;

constexpr std::uint64_t kSeeds = 3'000;
constexpr int kSteps = 50;
constexpr int kProducers = 4;  // 1 and 2 are transactional, 3 idempotent, 0 neither
constexpr int kKeys = 12;
constexpr std::int64_t kRetentionMs = 5'000;

struct Appended {
    Offset base, last;
    int producer = 0;
    std::optional<ControlRecordType> marker{};
    std::vector<KeyedRecord> records{};
    std::int64_t written_at = 0;
    bool aborted = false;
    std::int16_t epoch = 0;  // of the producer
};

config::LogConfig small_and_compacted(SeededRandom& random) {
    config::LogConfig settings = CompactionFixture::compacted();
    settings.segment_bytes = 1'500;
    settings.index_interval_bytes = 200;
    settings.delete_retention_ms = kRetentionMs;
    settings.segment_index_bytes = random.next() % 3 == 0 ? 60 : 10 << 20;
    return settings;
}

class Model {
public:
    explicit Model(std::uint64_t seed) : random_{seed}, fixture_{small_and_compacted(random_)} {}

    void run() {
        for (int step = 0; step < kSteps && !failed(); ++step) {
            fixture_.now = fixture_.later(static_cast<std::int64_t>(pick(800)));
            do_something();
            if (!failed()) check();
        }
    }

private:
    static bool failed() { return ::testing::Test::HasFatalFailure(); }
    std::uint64_t pick(std::uint64_t below) { return random_.next() % below; }

    void do_something() {
        switch (pick(18)) {
            case 0:
            case 1:
            case 2:
                clean();
                break;
            case 3:
                crash_under_the_cleaner();
                break;
            case 4:
                crash();
                break;
            case 5:
                fixture_.restart_cleanly();
                if (!failed()) raise_high_watermark(fixture_.log->log_end_offset());
                break;
            case 6:
                fixture_.roll();
                break;
            case 7:
                ASSERT_TRUE(fixture_.log->release_idle(kMayBlock, fixture_.now, 0));
                break;
            case 8:
                truncate();
                break;
            case 9:
                delete_records();
                break;
            case 10:
                ASSERT_TRUE(fixture_.log->flush(kMayBlock));
                fixture_.checkpoint();
                break;
            case 11:
                end_transaction(1 + static_cast<int>(pick(2)));
                break;
            default:
                append();
        }
    }

    // --- what happens
    void append() {
        Appended batch{.producer = static_cast<int>(pick(kProducers)), .written_at = fixture_.now.raw()};
        for (std::uint64_t n = 1 + pick(4); n > 0; --n) {
            KeyedRecord record{.key = "k" + std::to_string(pick(kKeys)), .value = std::nullopt};
            if (pick(5) != 0) record.value = std::string(pick(120), static_cast<char>('a' + pick(26)));
            batch.records.push_back(std::move(record));
        }
        KeyedBatchSpec spec{.timestamp = static_cast<std::int64_t>(1'000 + pick(5'000))};
        if (pick(3) == 0) spec.codec = record::CompressionType::lz4;
        if (batch.producer != 0) {
            spec.producer = ProducerId{batch.producer};
            spec.epoch = ProducerEpoch{producer_epochs_[batch.producer]};
            batch.epoch = producer_epochs_[batch.producer];
            spec.sequence = next_sequence(batch.producer);
            spec.transactional = batch.producer != 3;
        }
        const auto result = fixture_.append(make_keyed_batch(batch.records, spec), LeaderEpoch{epoch_});
        ASSERT_TRUE(result) << result.error().what << " of producer " << batch.producer << ", sequence "
                            << spec.sequence;
        ASSERT_FALSE(result->duplicate);
        ASSERT_EQ(result->base_offset, end_);
        batch.base = result->base_offset;
        batch.last = result->last_offset;
        end_ = batch.last + 1;
        batches_.push_back(std::move(batch));
        if (pick(3) != 0) raise_high_watermark(end_);
    }
    void end_transaction(int producer) {
        if (!is_open(producer)) return;
        write_marker(producer, pick(2) == 0 ? ControlRecordType::abort : ControlRecordType::commit);
    }
    void write_marker(int producer, ControlRecordType type) {
        const std::int16_t epoch = producer_epochs_[producer];
        const auto result = fixture_.append(make_marker(ProducerId{producer}, ProducerEpoch{epoch}, type),
                                            LeaderEpoch{epoch_}, AppendOrigin::coordinator);
        ASSERT_TRUE(result) << result.error().what;
        batches_.push_back({.base = end_,
                            .last = end_,
                            .producer = producer,
                            .marker = type,
                            .written_at = fixture_.now.raw(),
                            .epoch = epoch});
        end_ = end_ + 1;
        raise_high_watermark(end_);
    }
    void raise_high_watermark(Offset to) {
        high_ = std::max(high_, to);
        fixture_.log->set_high_watermark(high_);
    }
    void clean() {
        fixture_.map_bytes = pick(3) == 0 ? OffsetMap::kBytesPerEntry * (2 + pick(6)) : std::size_t{1} << 20;
        fixture_.io_bytes = pick(2) == 0 ? 256 : 1 << 18;
        const auto cleaned = fixture_.clean();
        ASSERT_TRUE(cleaned) << cleaned.error().what << " " << fixture_.damage;
        flushed_ = std::max(flushed_, fixture_.log->recovery_point());
        note_clean(*cleaned);
        fixture_.checkpoint();  // as the cleaner does, for what lies below the recovery point
    }
    void note_clean(Offset to) {
        flushed_ = std::max(flushed_, to);
        clean_to_ = std::max(clean_to_, to);
    }
    void crash_under_the_cleaner() {
        const Offset safe = fixture_.assess().durable_to;
        ASSERT_TRUE(fixture_.log->flush(kMayBlock, safe));
        fixture_.checkpoint();
        flushed_ = std::max(flushed_, fixture_.log->recovery_point());
        const auto before = fixture_.last_clean;
        fixture_.files.fail_after(pick(60));
        const auto cleaned = fixture_.clean();
        if (cleaned) note_clean(*cleaned);
        if (!cleaned) fixture_.last_clean = before;
        crash();
    }
    void crash() {
        flushed_ = std::max(flushed_, fixture_.log->recovery_point());
        fixture_.recovery_point = std::min(fixture_.recovery_point, flushed_);
        fixture_.files.crash(random_.next());
        // The power may go again while the log is loaded.
        for (std::uint64_t again = pick(3); again > 0; --again) {
            fixture_.files.fail_after(pick(12));
            LogOpenOptions options{.directory = "/logs/orders-0",
                                   .topic_partition = {"orders", PartitionIndex{0}},
                                   .config = fixture_.config};
            options.recovery_point = fixture_.recovery_point;
            options.log_start_offset = fixture_.log_start;
            options.now = fixture_.now;
            (void)open_log(kMayBlock, fixture_.environment, options);
            fixture_.log.reset();
            fixture_.files.crash(random_.next());
        }
        fixture_.open();
        ASSERT_FALSE(failed());
        const Offset end = fixture_.log->log_end_offset();
        ASSERT_GE(end, flushed_) << "a flushed record is gone";
        ASSERT_LE(end, end_);
        start_ = fixture_.log->log_start_offset();
        forget(end, lost_in_holes());
        high_ = Offset{0};
        raise_high_watermark(end_);
    }
    // Where nothing was flushed a whole segment may be gone and the next one there. In a compacted log that looks like
    // the work of a cleaner, and what is there stays.
    std::set<Offset> lost_in_holes() const {
        std::set<Offset> there;
        for (const BatchFound& batch : fixture_.batches()) there.insert(batch.base);
        std::set<Offset> lost;
        for (const Appended& batch : batches_) {
            if (batch.base >= flushed_ && batch.last >= start_ && !there.contains(batch.base)) lost.insert(batch.base);
        }
        return lost;
    }
    void truncate() {
        if (batches_.empty() || end_ <= high_) return;
        const auto first = std::ranges::find_if(batches_, [&](const Appended& each) { return each.base >= high_; });
        if (first == batches_.end()) return;
        const auto room = static_cast<std::uint64_t>(batches_.end() - first);
        const Offset to = (first + static_cast<std::ptrdiff_t>(pick(room)))->base;
        ASSERT_TRUE(fixture_.log->truncate_to(kMayBlock, to));
        forget(to, {});
    }
    void forget(Offset end, const std::set<Offset>& holes) {
        std::set<int> lost;
        std::erase_if(batches_, [&](const Appended& batch) {
            if (batch.last < end && !holes.contains(batch.base)) return false;
            if (batch.producer != 0) lost.insert(batch.producer);
            return true;
        });
        end_ = end;
        flushed_ = std::min(flushed_, end);
        ++epoch_;
        // Who lost a batch begins anew, as the client does: the batch before it may have been cleaned away, for it was
        // not the producer's last.
        for (const int producer : lost) ++producer_epochs_[producer];
        for (const int producer : {1, 2}) {
            if (!failed() && lost.contains(producer) && is_open(producer))
                write_marker(producer, ControlRecordType::abort);
        }
    }
    void delete_records() {
        // Of a transaction whose beginning was deleted nobody could say where it began.
        const Offset stable = fixture_.log->last_stable_offset();
        if (pick(3) != 0 || stable <= start_) return;
        const Offset to = start_ + static_cast<std::int64_t>(pick(static_cast<std::uint64_t>(stable - start_) + 1));
        ASSERT_TRUE(fixture_.log->advance_log_start_offset(to));
        start_ = std::max(start_, to);
        // Nor which sequence came last, where a marker is all that stays of a producer.
        for (const int producer : {1, 2, 3}) {
            if (!is_open(producer)) ++producer_epochs_[producer];
        }
        ASSERT_TRUE(fixture_.log->delete_old_segments(kMayBlock, fixture_.now));
        fixture_.checkpoint();
    }

    // --- what is known of the past
    std::int32_t next_sequence(int producer) {
        std::int32_t next = 0;
        for (const Appended& each : batches_) {
            if (each.producer != producer || each.epoch != producer_epochs_[producer]) continue;
            if (!each.marker) next += static_cast<std::int32_t>(each.records.size());
        }
        return next;
    }
    bool is_open(int producer) const {
        for (auto it = batches_.rbegin(); it != batches_.rend(); ++it) {
            if (it->producer == producer) return !it->marker && producer != 3;
        }
        return false;
    }
    void decide_transactions() {
        std::map<int, bool> aborted;  // of the transaction that the batches met going back belong to
        for (auto it = batches_.rbegin(); it != batches_.rend(); ++it) {
            if (it->producer != 1 && it->producer != 2) continue;
            if (it->marker) aborted[it->producer] = it->marker == ControlRecordType::abort;
            it->aborted = !it->marker && aborted[it->producer];
        }
    }

    // --- what must be
    struct Found {
        std::map<Offset, KeyedRecord> all;
        std::set<Offset> delivered;  // by a consumer of committed records
    };
    void check() {
        ASSERT_EQ(fixture_.log->log_end_offset(), end_);
        ASSERT_EQ(fixture_.log->log_start_offset(), start_);
        if (pick(3) != 0) return;
        decide_transactions();
        Found found;
        read_all(found);
        if (!failed()) check_records(found);
    }
    void read_all(Found& found) {
        auto aborted = *fixture_.log->aborted_transactions(kMayBlock, start_, end_);
        std::ranges::sort(aborted, {}, &AbortedTransaction::first_offset);
        std::set<ProducerId> skipped;
        std::size_t met = 0;
        Offset next{0};
        for (const BatchFound& batch : fixture_.batches()) {
            const auto view = batch.view();
            ASSERT_GE(batch.base, next);
            ASSERT_TRUE(view.is_crc_valid());
            next = batch.last + 1;
            for (; met < aborted.size() && aborted[met].first_offset <= batch.last; ++met) {
                skipped.insert(aborted[met].producer_id);
            }
            if (view.is_control()) {
                skipped.erase(view.producer_id());
                continue;
            }
            for (const auto& [offset, record] : batch.records) {
                found.all.emplace(offset, record);
                if (!view.is_transactional() || !skipped.contains(view.producer_id())) found.delivered.insert(offset);
            }
        }
        ASSERT_LE(next, end_);
    }
    void check_records(const Found& found) {
        std::map<std::string, Offset> latest;  // below clean_to_
        std::map<std::string, Offset> last;    // of all
        for (const Appended& batch : batches_) {
            for (std::size_t i = 0; i < batch.records.size() && !batch.aborted; ++i) {
                const Offset offset = batch.base + static_cast<std::int64_t>(i);
                if (offset < clean_to_) latest[*batch.records[i].key] = offset;
                last[*batch.records[i].key] = offset;
            }
        }
        std::size_t known = 0;
        for (const Appended& batch : batches_) {
            for (std::size_t i = 0; i < batch.records.size(); ++i) {
                const Offset offset = batch.base + static_cast<std::int64_t>(i);
                const auto at = found.all.find(offset);
                if (at != found.all.end()) {
                    ++known;
                    ASSERT_EQ(at->second, batch.records[i]) << "another record at offset " << offset.raw();
                    const bool is_open_or_committed = !batch.aborted;
                    ASSERT_EQ(found.delivered.contains(offset), is_open_or_committed) << "at offset " << offset.raw();
                }
                if (offset < start_) continue;
                check_one(batch, batch.records[i], offset, at != found.all.end(), latest, last);
                if (failed()) return;
            }
        }
        ASSERT_EQ(known, found.all.size()) << "records that nobody wrote";
    }
    void check_one(const Appended& batch, const KeyedRecord& record, Offset offset, bool is_there,
                   const std::map<std::string, Offset>& latest, const std::map<std::string, Offset>& last) {
        if (batch.aborted) {
            ASSERT_FALSE(is_there && offset < clean_to_) << "aborted, at offset " << offset.raw();
            return;
        }
        const auto newer = latest.find(*record.key);
        const bool is_obsolete = newer != latest.end() && newer->second > offset;
        ASSERT_FALSE(is_obsolete && is_there) << "obsolete, at offset " << offset.raw();
        if (is_obsolete || is_there) return;
        // A cleaning that a crash ended, or whose map was full, has no checkpoint but did its work.
        if (last.at(*record.key) > offset) return;
        const bool may_go = !record.value && fixture_.now.raw() >= batch.written_at + kRetentionMs;
        ASSERT_TRUE(may_go) << "lost: offset " << offset.raw() << ", clean up to " << clean_to_.raw();
    }

    SeededRandom random_;
    CompactionFixture fixture_;
    std::deque<Appended> batches_;
    Offset start_{0}, end_{0}, high_{0}, flushed_{0}, clean_to_{0};
    std::int32_t epoch_ = 0;
    std::array<std::int16_t, kProducers> producer_epochs_{};
};

TEST(LogCompactionModelTest, TheLatestRecordOfEachKeyStaysAndWhatTheCleanerWentThroughHasNoOtherWhateverTheSeed) {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        Model{seed}.run();
        if (HasFatalFailure()) break;
    }
}

}  // namespace
}  // namespace odr::storage::test
