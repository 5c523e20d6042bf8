#pragma once

#include <atomic>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "storage/finding.h"
#include "storage/index_file.h"
#include "storage/leader_epoch_cache.h"
#include "storage/segment_scanner.h"
#include "storage/topic_partition.h"

namespace odr::storage {

// What is known about a log before its segments are read.
struct LogFacts {
    std::string folder;      // path
    bool is_live = false;    // a broker holds the log directory
    bool was_clean = false;  // .kafka_cleanshutdown stands there
    bool has_recovery_points = false;
    Offset recovery_point{0};
    // Below this offset the cleaner may have made gaps; nullopt: nobody can tell.
    std::optional<Offset> cleaned_below;

    bool may_be_cleaned(Offset offset) const { return !cleaned_below || offset <= *cleaned_below; }
};

struct SegmentFacts {
    Offset base{0};
    std::uint64_t size = 0;  // of the .log
    bool has_offset_index = false, has_time_index = false, has_txn_index = false;
    bool is_active = false;
    Offset next_base = kNoOffset;  // of the segment behind; kNoOffset for the active one
};

// What a segment says of one producer, so that segments can be read in any order and be held together afterwards.
struct ProducerSpan {
    ProducerEpoch first_epoch = kNoProducerEpoch, last_epoch = kNoProducerEpoch;
    std::int32_t first_sequence = -1, last_sequence = -1;  // -1: no data batch with sequences
    Offset first_offset = kNoOffset;                       // of the first data batch with sequences
    io::FilePos first_position = 0;
    // Before the first marker it is not known here whether a transaction was open already.
    bool knows_transaction = false;
    Offset early_data = kNoOffset;        // the first transactional batch while it was not known
    Offset open_transaction = kNoOffset;  // at the end of the segment, where it is known
    // The first marker, if it aborts, has no index entry, and might need one.
    Offset outer_abort = kNoOffset;
    io::FilePos outer_abort_position = 0;
};

struct SegmentSummary {
    std::uint64_t batches = 0, records = 0, bytes = 0;
    bool is_sound = true;  // every batch is
    bool has_batches = false;
    Offset end{0};                   // the offset behind the last batch; base when there is none
    std::vector<EpochEntry> epochs;  // each epoch with the first batch that has it
    std::vector<io::FilePos> epoch_positions;
    bool epochs_rise = true;
    std::unordered_map<ProducerId, ProducerSpan> producers;
    std::vector<TxnIndexEntry> aborted;  // as the .txnindex says; sorted by last_offset
    bool txn_index_is_readable = true;
    std::vector<TxnIndexEntry> unread_aborts;  // of the index, not met by a marker
};

// Gives: why a batch cannot follow the producer's last one; empty where it can. `may_have_gaps`: the cleaner was here.
std::string sequence_fault(ProducerEpoch last_epoch, std::int32_t last_sequence, ProducerEpoch epoch,
                           std::int32_t base_sequence, bool may_have_gaps);

// Reads one segment and its indexes, once.
//
// Threads: one; the counter is shared.
class SegmentVerifier {
public:
    SegmentVerifier(io::FileSystem& files, const LogFacts& log, const SegmentFacts& segment, const OnFinding& found,
                    std::atomic<std::uint64_t>& bytes_done)
        : files_{files}, log_{log}, segment_{segment}, found_{found}, bytes_done_{bytes_done} {}

    // Errors: none; what cannot be read is a finding.
    SegmentSummary run();

private:
    std::string path(std::string_view suffix) const;
    Finding at(FindingKind kind, Severity severity, io::FilePos position, std::uint64_t length, Offset first,
               Offset last) const;
    void load_indexes();
    void scan(io::File& file);
    void on_batch(const SegmentScanner::Step& step, const record::RecordBatchHeader& header,
                  const record::RecordBatchView* batch);
    void on_broken(const SegmentScanner::Step& step);
    void check_gap(const SegmentScanner::Step& step, const record::RecordBatchHeader& header);
    void check_epoch(const SegmentScanner::Step& step, const record::RecordBatchHeader& header);
    void check_producer(const SegmentScanner::Step& step, const record::RecordBatchHeader& header,
                        const record::RecordBatchView* batch);
    void check_sequence(ProducerSpan& span, const SegmentScanner::Step& step, const record::RecordBatchHeader& header);
    void check_marker(ProducerSpan& span, const SegmentScanner::Step& step, const record::RecordBatchView& batch);
    void check_offset_index(const SegmentScanner::Step& step, const record::RecordBatchHeader& header);
    void check_time_index(const record::RecordBatchHeader& header);
    void finish_indexes();
    void blame_index(FindingKind kind, std::size_t slot, std::size_t entry_bytes, Offset offset, std::string what);
    void report(Finding finding);

    io::FileSystem& files_;
    const LogFacts& log_;
    const SegmentFacts& segment_;
    const OnFinding& found_;
    std::atomic<std::uint64_t>& bytes_done_;

    SegmentSummary out_;
    std::vector<OffsetIndexEntry> offset_entries_;
    std::vector<TimeIndexEntry> time_entries_;
    std::size_t next_offset_entry_ = 0, next_time_entry_ = 0;
    bool offset_index_is_bad_ = false, time_index_is_bad_ = false, txn_index_is_bad_ = false;
    bool has_loose_entries_ = false;  // in the offset index; one is told
    TimestampMs max_timestamp_ = kNoTimestamp;
    bool after_damage_ = false;
    Offset expected_{0};
    LeaderEpoch epoch_before_ = kNoLeaderEpoch;  // of the batch before the last one
    SegmentScanner::Step last_batch_;
    std::size_t reported_ = 0;
};

}  // namespace odr::storage
