#include "storage/segment_verifier.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "record/record.h"
#include "storage/log_segment.h"

namespace odr::storage {
namespace {

constexpr std::size_t kFindingsPerSegment = 1000;  // what a segment of noise may fill memory and screen with

constexpr std::string_view kRebuildIndex = "`odradek log repair` makes it anew from the segment";
constexpr std::string_view kRestore =
    "these records are lost here: restore the file from a replica or a backup, or have the topic's readers skip them";

}  // namespace

std::string SegmentVerifier::path(std::string_view suffix) const {
    return log_.folder + "/" + segment_file_name(segment_.base, suffix);
}

Finding SegmentVerifier::at(FindingKind kind, Severity severity, io::FilePos position, std::uint64_t length,
                            Offset first, Offset last) const {
    Finding finding;
    finding.kind = kind;
    finding.severity = severity;
    finding.file = path(kLogSuffix);
    finding.position = position;
    finding.length = length;
    finding.first_offset = first;
    finding.last_offset = last;
    return finding;
}

void SegmentVerifier::report(Finding finding) {
    if (++reported_ <= kFindingsPerSegment) return found_(finding);
    if (reported_ != kFindingsPerSegment + 1) return;
    finding.position = Finding::kNowhere;
    finding.what = fmt::format("more than {} findings; the rest is not listed", kFindingsPerSegment);
    found_(finding);
}

// --- indexes

void SegmentVerifier::blame_index(FindingKind kind, std::size_t slot, std::size_t entry_bytes, Offset offset,
                                  std::string what) {
    bool& is_bad = kind == FindingKind::offset_index ? offset_index_is_bad_
                   : kind == FindingKind::time_index ? time_index_is_bad_
                                                     : txn_index_is_bad_;
    if (std::exchange(is_bad, true)) return;  // one line a file: what follows a wrong entry is mostly wrong too
    Finding finding = at(kind, Severity::damage, slot * entry_bytes, entry_bytes, offset, kNoOffset);
    finding.file = path(kind == FindingKind::offset_index ? kOffsetIndexSuffix
                        : kind == FindingKind::time_index ? kTimeIndexSuffix
                                                          : kTxnIndexSuffix);
    finding.what = std::move(what);
    finding.advice = kRebuildIndex;
    finding.remedy = kind == FindingKind::txn_index ? Remedy::rebuild_txn_index : Remedy::rebuild_indexes;
    report(std::move(finding));
}

namespace {

// Gives: the entries, without the zeros that preallocation left; `fault` names what keeps them from being read.
template <class Entry>
std::vector<Entry> read_index(io::FileSystem& files, const std::string& path, std::string& fault) {
    const auto file = files.open(path, io::OpenMode::read);
    if (!file) {
        fault = fmt::format("{} ({})", file.error().what, std::strerror(file.error().os_errno));
        return {};
    }
    const auto size = (*file)->size();
    const auto count = count_entries<Entry>(**file);
    if (!size || !count) {
        fault = "cannot be read";
        return {};
    }
    if (*size % Entry::kBytes != 0) {
        fault = fmt::format("{} bytes are no multiple of the {} bytes of an entry", *size, Entry::kBytes);
    }
    auto entries = read_entries<Entry>(**file, *count);
    if (!entries) {
        fault = entries.error().what;
        return {};
    }
    return std::move(*entries);
}

}  // namespace

void SegmentVerifier::load_indexes() {
    std::string fault;
    if (segment_.has_offset_index) {
        offset_entries_ = read_index<OffsetIndexEntry>(files_, path(kOffsetIndexSuffix), fault);
        if (!fault.empty()) blame_index(FindingKind::offset_index, 0, OffsetIndexEntry::kBytes, kNoOffset, fault);
    }
    fault.clear();
    if (segment_.has_time_index) {
        time_entries_ = read_index<TimeIndexEntry>(files_, path(kTimeIndexSuffix), fault);
        if (!fault.empty()) blame_index(FindingKind::time_index, 0, TimeIndexEntry::kBytes, kNoOffset, fault);
    }
    fault.clear();
    if (segment_.has_txn_index) {
        out_.aborted = read_index<TxnIndexEntry>(files_, path(kTxnIndexSuffix), fault);
        if (!fault.empty()) blame_index(FindingKind::txn_index, 0, TxnIndexEntry::kBytes, kNoOffset, fault);
        for (std::size_t i = 0; i < out_.aborted.size(); ++i) {
            const TxnIndexEntry& entry = out_.aborted[i];
            const bool is_sorted = i == 0 || out_.aborted[i - 1].last_offset < entry.last_offset;
            if (is_sorted && entry.first_offset >= 0 && entry.first_offset <= entry.last_offset &&
                entry.last_stable_offset <= entry.last_offset + 1 && entry.last_offset >= segment_.base.raw()) {
                continue;
            }
            blame_index(FindingKind::txn_index, i, TxnIndexEntry::kBytes, Offset{entry.last_offset},
                        "an entry whose offsets cannot be");
        }
    }
    out_.txn_index_is_readable = !txn_index_is_bad_;
    out_.unread_aborts = out_.aborted;
}

// An entry must name the start of a batch that begins at or below the entry's offset: then a reader that starts there
// misses nothing. (Kafka before 4.0 wrote the last offset of a run of batches, which stood behind the first batch's.)
void SegmentVerifier::check_offset_index(const SegmentScanner::Step& step, const record::RecordBatchHeader& header) {
    const auto blame = [&](std::string what) {
        const Offset offset = segment_.base + offset_entries_[next_offset_entry_].relative_offset;
        blame_index(FindingKind::offset_index, next_offset_entry_, OffsetIndexEntry::kBytes, offset, std::move(what));
    };
    while (!offset_index_is_bad_ && next_offset_entry_ < offset_entries_.size()) {
        const OffsetIndexEntry& entry = offset_entries_[next_offset_entry_];
        if (entry.position > step.position) return;
        const Offset offset = segment_.base + entry.relative_offset;
        if (entry.position < step.position) {
            blame(fmt::format("offset {} points to position {}, where no batch starts", offset, entry.position));
        } else if (offset < header.base_offset() && !header.is_legacy()) {
            blame(fmt::format("offset {} points to position {}, where offset {} starts", offset, entry.position,
                              header.base_offset()));
        } else if (next_offset_entry_ > 0 &&
                   offset_entries_[next_offset_entry_ - 1].relative_offset >= entry.relative_offset) {
            blame(fmt::format("offset {} does not rise from entry to entry", offset));
        } else if (offset != header.last_offset() && !std::exchange(has_loose_entries_, true)) {
            Finding finding =
                at(FindingKind::offset_index, Severity::warning, next_offset_entry_ * OffsetIndexEntry::kBytes,
                   OffsetIndexEntry::kBytes, offset, kNoOffset);
            finding.file = path(kOffsetIndexSuffix);
            finding.what = fmt::format("offset {} points to position {}, whose batch ends with offset {}", offset,
                                       entry.position, header.last_offset());
            finding.advice = "readers find what they want all the same; Apache Kafka before 4.0 wrote such entries";
            finding.remedy = Remedy::rebuild_indexes;
            report(std::move(finding));
        }
        ++next_offset_entry_;
    }
}

// An entry says: no timestamp above `timestamp` up to `offset`, and none as high before its batch.
void SegmentVerifier::check_time_index(const record::RecordBatchHeader& header) {
    while (after_damage_ && next_time_entry_ < time_entries_.size() &&
           segment_.base + time_entries_[next_time_entry_].relative_offset < header.base_offset()) {
        ++next_time_entry_;
    }
    const TimestampMs before = max_timestamp_;
    max_timestamp_ = std::max(max_timestamp_, header.max_timestamp());
    while (!time_index_is_bad_ && next_time_entry_ < time_entries_.size()) {
        const TimeIndexEntry& entry = time_entries_[next_time_entry_];
        const Offset offset = segment_.base + entry.relative_offset;
        if (offset > header.last_offset()) return;
        std::string what;
        const bool rises = next_time_entry_ == 0 || time_entries_[next_time_entry_ - 1].timestamp < entry.timestamp;
        if (!rises) {
            what = fmt::format("timestamp {} does not rise from entry to entry", entry.timestamp);
        } else if (offset < header.base_offset() && !header.is_legacy()) {
            what = fmt::format("timestamp {} is said to be at offset {}, which is not there", entry.timestamp, offset);
        } else if (entry.timestamp != header.max_timestamp().raw() || before.raw() >= entry.timestamp) {
            what = fmt::format("timestamp {} is said to come first at offset {}, whose batch has {} after {}",
                               entry.timestamp, offset, header.max_timestamp(), before);
        }
        if (!what.empty()) {
            blame_index(FindingKind::time_index, next_time_entry_, TimeIndexEntry::kBytes, offset, std::move(what));
        }
        ++next_time_entry_;
    }
}

void SegmentVerifier::finish_indexes() {
    if (!out_.is_sound) return;
    for (const TxnIndexEntry& entry : out_.unread_aborts) {
        if (log_.may_be_cleaned(Offset{entry.last_offset}) || (segment_.is_active && log_.is_live)) continue;
        blame_index(FindingKind::txn_index, 0, TxnIndexEntry::kBytes, Offset{entry.last_offset},
                    fmt::format("an entry for producer {} at offset {}, where no marker aborts its transaction",
                                entry.producer_id, entry.last_offset));
    }
    if (next_offset_entry_ < offset_entries_.size()) {
        const OffsetIndexEntry& entry = offset_entries_[next_offset_entry_];
        const Offset offset = segment_.base + entry.relative_offset;
        if (!segment_.is_active || !log_.is_live) {
            blame_index(FindingKind::offset_index, next_offset_entry_, OffsetIndexEntry::kBytes, offset,
                        fmt::format("offset {} points to position {}, behind the last batch", offset, entry.position));
        }
    }
    if (next_time_entry_ < time_entries_.size() && !(segment_.is_active && log_.is_live)) {
        const TimeIndexEntry& entry = time_entries_[next_time_entry_];
        const Offset offset = segment_.base + entry.relative_offset;
        blame_index(
            FindingKind::time_index, next_time_entry_, TimeIndexEntry::kBytes, offset,
            fmt::format("timestamp {} is said to be at offset {}, behind the last batch", entry.timestamp, offset));
    }
    if (segment_.is_active || !out_.has_batches) return;
    // Retention and look-ups by time take a sealed segment's last entry for its largest timestamp.
    const bool knows_max =
        max_timestamp_.raw() < 0 || (!time_entries_.empty() && time_entries_.back().timestamp >= max_timestamp_.raw());
    if (segment_.has_time_index && !knows_max) {
        blame_index(FindingKind::time_index, time_entries_.size(), TimeIndexEntry::kBytes, kNoOffset,
                    fmt::format("the last entry does not have the segment's largest timestamp {}", max_timestamp_));
    }
    for (const auto& [has, suffix, kind] :
         {std::tuple{segment_.has_offset_index, kOffsetIndexSuffix, FindingKind::offset_index},
          std::tuple{segment_.has_time_index, kTimeIndexSuffix, FindingKind::time_index}}) {
        if (has) continue;
        Finding finding = at(kind, Severity::warning, Finding::kNowhere, 0, kNoOffset, kNoOffset);
        finding.file = path(suffix);
        finding.what = "is missing";
        finding.advice = "a start of the broker makes it anew";
        finding.remedy = Remedy::rebuild_indexes;
        report(std::move(finding));
    }
}

// --- batches

void SegmentVerifier::check_gap(const SegmentScanner::Step& step, const record::RecordBatchHeader& header) {
    if (after_damage_ || header.is_legacy() || header.base_offset() <= expected_) return;
    if (log_.cleaned_below && header.base_offset() <= *log_.cleaned_below) return;
    Finding finding = at(FindingKind::offsets, log_.cleaned_below ? Severity::damage : Severity::warning, step.position,
                         0, expected_, header.base_offset() - 1);
    finding.what = fmt::format("a gap: offset {} follows offset {}", header.base_offset(), expected_ - 1);
    finding.advice = log_.cleaned_below ? std::string{kRestore} : "normal in a compacted topic, a loss elsewhere";
    report(std::move(finding));
}

void SegmentVerifier::check_epoch(const SegmentScanner::Step& step, const record::RecordBatchHeader& header) {
    const LeaderEpoch epoch = header.partition_leader_epoch();
    if (epoch == kNoLeaderEpoch) return;
    const LeaderEpoch last = out_.epochs.empty() ? kNoLeaderEpoch : out_.epochs.back().epoch;
    if (epoch < last || epoch < kNoLeaderEpoch) {
        // The epoch is not under the CRC. Where this batch fits to the one before the last, the last one is wrong.
        const bool last_is_wrong =
            !out_.epochs.empty() && epoch >= epoch_before_ && out_.epoch_positions.back() == last_batch_.position;
        const SegmentScanner::Step& wrong = last_is_wrong ? last_batch_ : step;
        Finding finding =
            at(FindingKind::leader_epoch, Severity::damage, wrong.position, wrong.length, wrong.first, wrong.last);
        finding.what = fmt::format("leader epoch {} stands between epochs {} and {}", last_is_wrong ? last : epoch,
                                   last_is_wrong ? epoch_before_ : last, last_is_wrong ? epoch : last);
        finding.advice = "the records are sound, but a replica may be cut wrongly by it: restore the file";
        report(std::move(finding));
        out_.epochs_rise = false;
        if (last_is_wrong) {
            out_.epochs.pop_back();
            out_.epoch_positions.pop_back();
        }
        if (epoch < kNoLeaderEpoch || (!last_is_wrong && epoch < last)) return;
    }
    epoch_before_ = out_.epochs.empty() ? kNoLeaderEpoch : out_.epochs.back().epoch;
    if (epoch == epoch_before_) return;
    out_.epochs.push_back({epoch, header.base_offset()});
    out_.epoch_positions.push_back(step.position);
}

void SegmentVerifier::check_sequence(ProducerSpan& span, const SegmentScanner::Step& step,
                                     const record::RecordBatchHeader& header) {
    if (header.base_sequence() < 0) return;  // coordinators write without
    if (span.first_sequence < 0) {
        span.first_epoch = header.producer_epoch();
        span.first_sequence = header.base_sequence();
        span.first_offset = header.base_offset();
        span.first_position = step.position;
    } else {
        const std::string wrong = sequence_fault(span.last_epoch, span.last_sequence, header.producer_epoch(),
                                                 header.base_sequence(), log_.may_be_cleaned(header.base_offset()));
        if (!wrong.empty()) {
            Finding finding = at(FindingKind::producer_sequence, Severity::warning, step.position, step.length,
                                 step.first, step.last);
            finding.what = fmt::format("producer {}: {}", header.producer_id(), wrong);
            finding.advice = "normal where the broker had forgotten the producer (producer.id.expiration.ms)";
            report(std::move(finding));
        }
    }
    span.last_epoch = header.producer_epoch();
    span.last_sequence = header.last_sequence();
}

void SegmentVerifier::check_marker(ProducerSpan& span, const SegmentScanner::Step& step,
                                   const record::RecordBatchView& batch) {
    record::RecordIterator records{batch};
    const auto record = records.next();
    if (!record || !*record) return;
    const auto type = record::parse_control_record_key((*record)->key);
    if (!type || (*type != record::ControlRecordType::abort && *type != record::ControlRecordType::commit)) return;
    const bool began_here = span.open_transaction != kNoOffset;
    const bool is_abort = *type == record::ControlRecordType::abort;
    const bool began_before = !span.knows_transaction;
    const Offset first = span.open_transaction;
    span.knows_transaction = true;
    span.open_transaction = kNoOffset;
    if (!is_abort) return;
    const auto entry = std::ranges::find_if(out_.unread_aborts, [&](const TxnIndexEntry& item) {
        return item.last_offset == batch.base_offset().raw() && item.producer_id == batch.producer_id().raw();
    });
    const bool has_entry = entry != out_.unread_aborts.end();
    if (has_entry && began_here && entry->first_offset != first.raw() && !log_.may_be_cleaned(batch.base_offset())) {
        blame_index(FindingKind::txn_index, 0, TxnIndexEntry::kBytes, first,
                    fmt::format("the transaction of producer {} that was aborted at offset {} began at {}, not {}",
                                batch.producer_id(), batch.base_offset(), first, entry->first_offset));
    }
    if (has_entry) {
        out_.unread_aborts.erase(entry);
        return;
    }
    // An aborted transaction that wrote nothing here has no entry.
    if (began_here && out_.txn_index_is_readable && !(segment_.is_active && log_.is_live)) {
        blame_index(FindingKind::txn_index, out_.aborted.size(), TxnIndexEntry::kBytes, first,
                    fmt::format("no entry for the transaction of producer {} from offset {} that was aborted at {}",
                                batch.producer_id(), first, batch.base_offset()));
    } else if (began_before) {
        span.outer_abort = batch.base_offset();
        span.outer_abort_position = step.position;
    }
}

void SegmentVerifier::check_producer(const SegmentScanner::Step& step, const record::RecordBatchHeader& header,
                                     const record::RecordBatchView* batch) {
    if (!header.has_producer_id()) return;
    ProducerSpan& span = out_.producers[header.producer_id()];
    if (header.is_control()) {
        if (batch != nullptr) check_marker(span, step, *batch);
        return;
    }
    check_sequence(span, step, header);
    if (!header.is_transactional() || span.open_transaction != kNoOffset) return;
    if (span.knows_transaction || segment_.base == Offset{0}) {
        span.open_transaction = header.base_offset();
        span.knows_transaction = true;
    } else if (span.early_data == kNoOffset) {
        span.early_data = header.base_offset();
    }
}

void SegmentVerifier::on_batch(const SegmentScanner::Step& step, const record::RecordBatchHeader& header,
                               const record::RecordBatchView* batch) {
    ++out_.batches;
    out_.has_batches = true;
    if (batch != nullptr) {
        std::int64_t records = 0;
        const std::string_view wrong = records_fault(*batch, records);
        out_.records += static_cast<std::uint64_t>(records);
        if (!wrong.empty()) {
            Finding finding =
                at(FindingKind::records, Severity::damage, step.position, step.length, step.first, step.last);
            finding.what = fmt::format("the CRC is right, but the records are not: {}", wrong);
            finding.advice =
                "it was written so; clients cannot read it. Restore it, or have the readers skip these offsets";
            report(std::move(finding));
        }
    }
    check_gap(step, header);
    check_epoch(step, header);
    check_producer(step, header, batch);
    check_offset_index(step, header);
    check_time_index(header);
    if (segment_.next_base != kNoOffset && header.last_offset() >= segment_.next_base) {
        Finding finding = at(FindingKind::offsets, Severity::damage, step.position, step.length, step.first, step.last);
        finding.what = fmt::format("reaches into the next segment, which starts at {}", segment_.next_base);
        finding.advice = "restore both segments from a replica or a backup";
        report(std::move(finding));
    }
    expected_ = header.next_offset();
    last_batch_ = step;
    after_damage_ = false;
}

void SegmentVerifier::on_broken(const SegmentScanner::Step& step) {
    out_.is_sound = false;
    after_damage_ = true;
    // Entries for what is broken cannot be judged.
    while (next_offset_entry_ < offset_entries_.size() &&
           offset_entries_[next_offset_entry_].position < step.position + step.length) {
        ++next_offset_entry_;
    }
    // Whose batches are lost is not known, so nobody's sequence can be missed.
    for (auto& [id, span] : out_.producers) span.last_sequence = -1;
    Offset last = step.last;
    const bool reaches_end = step.position + step.length >= segment_.size;
    if (reaches_end && last == kNoOffset && segment_.next_base != kNoOffset) last = segment_.next_base - 1;
    Finding finding = at(FindingKind::batch, Severity::damage, step.position, step.length, step.first, last);
    finding.what = step.what;
    finding.advice = kRestore;
    if (segment_.is_active && reaches_end) {
        finding.kind = FindingKind::tail;
        if (log_.is_live) {
            finding.severity = Severity::note;
            finding.advice = "a broker is writing this segment; check again when it is sealed or the broker stopped";
        } else if (!log_.was_clean && step.first >= log_.recovery_point) {
            finding.severity = Severity::warning;
            finding.remedy = Remedy::cut_tail;
            finding.advice =
                "nothing flushed is in it: a start of the broker cuts it off, as does `odradek log repair`";
        } else {
            finding.advice = fmt::format("offsets below {} were flushed. {}", log_.recovery_point, kRestore);
        }
    }
    report(std::move(finding));
}

void SegmentVerifier::scan(io::File& file) {
    SegmentScanner scanner{file, 0, segment_.size, segment_.base, segment_.base};
    for (;;) {
        const io::FilePos before = scanner.next_position();
        const auto step = scanner.next();
        if (!step) {
            out_.is_sound = false;
            Finding finding = at(FindingKind::unreadable, log_.is_live ? Severity::warning : Severity::damage,
                                 scanner.next_position(), 0, scanner.next_offset(), kNoOffset);
            finding.what = fmt::format("{} ({})", step.error().what, std::strerror(step.error().os_errno));
            finding.advice = "look into the kernel's log: the disk may be failing";
            return report(std::move(finding));
        }
        if (step->kind == SegmentScanner::Kind::end) break;
        if (step->kind == SegmentScanner::Kind::batch) {
            on_batch(*step, scanner.header(), scanner.batch());
        } else {
            on_broken(*step);
        }
        bytes_done_ += scanner.next_position() - before;
    }
    out_.end = scanner.next_offset();
}

SegmentSummary SegmentVerifier::run() {
    out_.end = expected_ = segment_.base;
    out_.bytes = segment_.size;
    const auto file = files_.open(path(kLogSuffix), io::OpenMode::read);
    if (!file) {
        out_.is_sound = false;
        Finding finding = at(FindingKind::unreadable, log_.is_live ? Severity::note : Severity::damage,
                             Finding::kNowhere, 0, kNoOffset, kNoOffset);
        finding.what = fmt::format("{} ({})", file.error().what, std::strerror(file.error().os_errno));
        finding.advice = log_.is_live ? "the broker removed it meanwhile" : "look into the kernel's log";
        report(std::move(finding));
        bytes_done_ += segment_.size;
        return std::move(out_);
    }
    load_indexes();
    scan(**file);
    finish_indexes();
    return std::move(out_);
}

// --- sequences, also from segment to segment

std::string sequence_fault(ProducerEpoch last_epoch, std::int32_t last_sequence, ProducerEpoch epoch,
                           std::int32_t base_sequence, bool may_have_gaps) {
    if (epoch < last_epoch) return fmt::format("epoch {} follows epoch {}", epoch, last_epoch);
    if (epoch > last_epoch) {
        if (base_sequence == 0 || may_have_gaps) return {};
        return fmt::format("epoch {} begins with sequence {}", epoch, base_sequence);
    }
    const std::int32_t wanted = record::increment_sequence(last_sequence, 1);
    if (last_sequence < 0 || base_sequence == wanted) return {};
    // After 2^31-1 comes 0, so "behind" is what lies less than half the circle ahead.
    const std::int32_t ahead = record::decrement_sequence(base_sequence, wanted);
    if (may_have_gaps && ahead < (1 << 30)) return {};
    return fmt::format("sequence {} follows sequence {}", base_sequence, last_sequence);
}

}  // namespace odr::storage
