#include "storage/log_verifier.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "record/record.h"
#include "storage/log_segment.h"
#include "storage/parallel_for.h"
#include "storage/producer_state_manager.h"

namespace odr::storage {
namespace {

bool is_footer(const record::RecordBatchView& batch) {
    if (!batch.is_control() || batch.is_compressed()) return false;
    record::RecordIterator records{batch};
    const auto record = records.next();
    if (!record || !*record) return false;
    return record::parse_control_record_key((*record)->key) == record::ControlRecordType::snapshot_footer;
}

}  // namespace

LogVerifier::LogVerifier(io::FileSystem& files, VerifyOptions options, OnFinding found)
    : files_{files}, options_{std::move(options)}, found_{std::move(found)} {
    counted_ = [this](const Finding& finding) { report(finding); };
}
LogVerifier::~LogVerifier() = default;

void LogVerifier::report(const Finding& finding) {
    std::lock_guard guard{mutex_};
    switch (finding.severity) {
        case Severity::note:
            ++summary_.notes;
            break;
        case Severity::warning:
            ++summary_.warnings;
            break;
        case Severity::damage:
            ++summary_.damage;
            break;
    }
    found_(finding);
}

void LogVerifier::report(FindingKind kind, Severity severity, std::string file, std::string what, std::string advice,
                         Remedy remedy) {
    Finding finding;
    finding.kind = kind;
    finding.severity = severity;
    finding.remedy = remedy;
    finding.file = std::move(file);
    finding.what = std::move(what);
    finding.advice = std::move(advice);
    report(finding);
}

Result<VerifySummary> LogVerifier::run(io::MayBlock) {
    for (const std::string& path : options_.directories) {
        if (const auto opened = open_directory(path); !opened) {
            failed_path_ = path;
            return fail(opened.error());
        }
    }
    compare_directories();
    compare_topic_ids();
    std::vector<std::pair<PartitionFiles*, std::size_t>> units;
    std::uint64_t bytes = 0;
    for (PartitionFiles& partition : partitions_) {
        partition.summaries.resize(partition.segments.size());
        partition.segments_left = partition.segments.size();
        for (std::size_t i = 0; i < partition.segments.size(); ++i) {
            units.emplace_back(&partition, i);
            bytes += partition.segments[i].size;
        }
        if (partition.segments.empty()) finish_partition(partition);
    }
    progress_.bytes_total = bytes;
    parallel_for(units.size(), options_.threads, [&](std::size_t i) { run_unit(*units[i].first, units[i].second); });
    summary_.directories = directories_.size();
    summary_.partitions = partitions_.size();
    summary_.segments = units.size();
    return summary_;
}

void LogVerifier::run_unit(PartitionFiles& partition, std::size_t segment) {
    SegmentVerifier verifier{files_, partition.facts, partition.segments[segment], counted_, progress_.bytes_done};
    partition.summaries[segment] = verifier.run();
    if (partition.segments_left.fetch_sub(1) == 1) finish_partition(partition);
}

void LogVerifier::finish_partition(PartitionFiles& partition) {
    check_epochs(partition);
    check_producers(partition);
    check_ends(partition);
    check_producer_snapshots(partition);
    for (const std::string& snapshot : partition.metadata_snapshots) {
        check_batch_file(partition.facts.folder + "/" + snapshot, "snapshot");
    }
    {
        std::lock_guard guard{mutex_};
        for (const SegmentSummary& segment : partition.summaries) {
            summary_.batches += segment.batches;
            summary_.records += segment.records;
            summary_.bytes += segment.bytes;
        }
    }
    partition.summaries = {};
}

// --- what reaches over segments

void LogVerifier::check_epochs(PartitionFiles& partition) {
    const std::string path = partition.facts.folder + "/" + kLeaderEpochCheckpoint;
    std::vector<EpochEntry> known;
    bool has_file = files_.exists(path);
    if (has_file) {
        const auto text = files_.read_file(path);
        const auto entries = text ? decode_epoch_checkpoint(*text) : fail(text.error());
        std::string_view wrong = entries ? std::string_view{} : entries.error().what;
        if (entries) {
            known = *entries;
            for (std::size_t i = 1; i < known.size() && wrong.empty(); ++i) {
                if (known[i - 1].epoch >= known[i].epoch || known[i - 1].start_offset >= known[i].start_offset)
                    wrong = "epochs or their start offsets do not rise from line to line";
            }
        }
        if (!wrong.empty()) {
            return report(FindingKind::checkpoint, Severity::damage, path, std::string{wrong},
                          "`odradek log repair` makes it anew from the batches; a start goes on without it",
                          Remedy::rebuild_epochs);
        }
    }
    LeaderEpochCache cache;
    cache.load(known);
    LeaderEpoch last = kNoLeaderEpoch;
    for (std::size_t i = 0; i < partition.summaries.size(); ++i) {
        const SegmentSummary& segment = partition.summaries[i];
        for (std::size_t j = 0; j < segment.epochs.size(); ++j) {
            const EpochEntry& entry = segment.epochs[j];
            Finding finding;
            finding.kind = FindingKind::leader_epoch;
            finding.file = partition.facts.folder + "/" + segment_file_name(partition.segments[i].base, kLogSuffix);
            finding.position = segment.epoch_positions[j];
            finding.first_offset = entry.start_offset;
            finding.advice = "the epoch is not under the batch's CRC: restore the file if other replicas differ";
            if (entry.epoch < last) {
                finding.what = fmt::format("leader epoch {} follows epoch {} of the segment before", entry.epoch, last);
                report(finding);
            } else if (has_file && segment.epochs_rise && cache.epoch_for(entry.start_offset) != entry.epoch) {
                // What was appended last may not be in the file yet.
                const bool may_be_late =
                    partition.facts.is_live || entry.start_offset >= partition.facts.recovery_point;
                finding.severity = may_be_late ? Severity::warning : Severity::damage;
                finding.what = fmt::format("leader epoch {}, but leader-epoch-checkpoint says {}", entry.epoch,
                                           cache.epoch_for(entry.start_offset));
                report(finding);
            }
            last = std::max(last, entry.epoch);
        }
    }
}

void LogVerifier::check_producers(PartitionFiles& partition) {
    struct State {
        ProducerEpoch epoch = kNoProducerEpoch;
        std::int32_t sequence = -1;
        Offset open = kNoOffset;
    };
    std::unordered_map<ProducerId, State> states;
    for (std::size_t i = 0; i < partition.summaries.size(); ++i) {
        SegmentSummary& segment = partition.summaries[i];
        for (const auto& [id, span] : segment.producers) {
            State& state = states[id];
            Finding finding;
            finding.file = partition.facts.folder + "/" + segment_file_name(partition.segments[i].base, kLogSuffix);
            if (span.first_sequence >= 0 && state.sequence >= 0 && segment.is_sound) {
                const std::string wrong =
                    sequence_fault(state.epoch, state.sequence, span.first_epoch, span.first_sequence,
                                   partition.facts.may_be_cleaned(span.first_offset));
                if (!wrong.empty()) {
                    finding.kind = FindingKind::producer_sequence;
                    finding.severity = Severity::warning;
                    finding.position = span.first_position;
                    finding.first_offset = span.first_offset;
                    finding.what = fmt::format("producer {}: {}", id, wrong);
                    finding.advice = "normal where the broker had forgotten the producer (producer.id.expiration.ms)";
                    report(finding);
                }
            }
            if (span.last_sequence >= 0 || !segment.is_sound) {
                state.epoch = span.last_epoch;
                state.sequence = span.last_sequence;
            }
            const Offset began = state.open != kNoOffset ? state.open : span.early_data;
            if (span.outer_abort != kNoOffset && began != kNoOffset && segment.txn_index_is_readable &&
                !(partition.segments[i].is_active && partition.facts.is_live)) {
                finding.kind = FindingKind::txn_index;
                finding.file =
                    partition.facts.folder + "/" + segment_file_name(partition.segments[i].base, kTxnIndexSuffix);
                finding.first_offset = began;
                finding.last_offset = span.outer_abort;
                finding.what = fmt::format(
                    "no entry for the transaction of producer {} from offset {} that was "
                    "aborted at {}",
                    id, began, span.outer_abort);
                finding.advice = "`odradek log repair` makes the index anew from the markers";
                finding.remedy = Remedy::rebuild_txn_index;
                report(finding);
            }
            state.open = span.knows_transaction ? span.open_transaction : began;
        }
        for (auto& [id, state] : states) {
            // Its batches may be among the broken ones.
            if (!segment.is_sound && !segment.producers.contains(id)) state.sequence = -1;
        }
        segment.producers.clear();
    }
}

void LogVerifier::check_ends(PartitionFiles& partition) {
    if (partition.summaries.empty() || partition.is_metadata_log) return;
    const SegmentSummary& active = partition.summaries.back();
    const Offset end = active.end;
    const std::string file =
        partition.facts.folder + "/" + segment_file_name(partition.segments.back().base, kLogSuffix);
    const LogFacts& facts = partition.facts;
    // The gaps between segments, which no segment sees by itself.
    for (std::size_t i = 1; i < partition.summaries.size(); ++i) {
        const Offset before = partition.summaries[i - 1].end;
        const Offset base = partition.segments[i].base;
        if (before >= base || !partition.summaries[i - 1].is_sound) continue;
        if (facts.cleaned_below && base <= *facts.cleaned_below) continue;
        Finding finding;
        finding.kind = FindingKind::offsets;
        finding.severity = facts.cleaned_below ? Severity::damage : Severity::warning;
        finding.file = facts.folder + "/" + segment_file_name(base, kLogSuffix);
        finding.first_offset = before;
        finding.last_offset = base - 1;
        finding.what = fmt::format("a gap: the segment before ends at offset {}", before);
        finding.advice = facts.cleaned_below ? "a segment is missing or was cut: restore it from a replica or a backup"
                                             : "normal in a compacted topic, a loss elsewhere";
        report(finding);
    }
    if (!active.is_sound || facts.is_live) return;  // told already, or moving
    const auto beyond = [&](std::optional<Offset> checkpointed, const char* name, Severity severity) {
        if (!checkpointed || *checkpointed <= end) return;
        Finding finding;
        finding.kind = FindingKind::offsets;
        finding.severity = severity;
        finding.file = file;
        finding.first_offset = end;
        finding.last_offset = *checkpointed - 1;
        finding.what = fmt::format("the log ends at offset {}, but {} says {}", end, name, *checkpointed);
        finding.advice = "records that were written are not there: restore the log from a replica or a backup";
        report(finding);
    };
    beyond(facts.has_recovery_points ? std::optional{facts.recovery_point} : std::nullopt, kRecoveryPointCheckpoint,
           Severity::damage);
    beyond(partition.high_watermark, kHighWatermarkCheckpoint, facts.was_clean ? Severity::damage : Severity::warning);
    // DeleteRecords up to the end, then a crash that took the tail: a start begins anew there.
    beyond(partition.log_start, kLogStartOffsetCheckpoint, Severity::warning);
}

void LogVerifier::check_producer_snapshots(PartitionFiles& partition) {
    for (const Offset offset : partition.snapshots) {
        const std::string path = partition.facts.folder + "/" + segment_file_name(offset, kSnapshotSuffix);
        const auto bytes = files_.read_file(path);
        if (!bytes && bytes.error().os_errno == ENOENT && partition.facts.is_live) continue;
        const auto entries = bytes ? decode_producer_snapshot(as_bytes(*bytes)) : fail(bytes.error());
        std::string wrong;
        if (!entries) wrong = entries.error().what;
        for (std::size_t i = 0; entries && i < entries->size() && wrong.empty(); ++i) {
            const ProducerStateEntry& state = (*entries)[i].state;
            const Offset last = state.empty() ? kNoOffset : state.last().last_offset;
            if (last < offset && state.current_txn_first_offset < offset) continue;
            wrong = fmt::format("producer {} is said to have written behind the snapshot's offset",
                                (*entries)[i].producer_id);
        }
        if (wrong.empty()) continue;
        report(FindingKind::producer_snapshot, Severity::damage, path, wrong,
               "`odradek log repair` makes it anew from the log; a start after a clean stop would forget producers",
               Remedy::rebuild_snapshot);
    }
}

void LogVerifier::check_batch_file(const std::string& path, std::string_view what) {
    const auto told = [&](io::FilePos position, std::uint64_t length, std::string fault) {
        Finding finding;
        finding.kind = FindingKind::metadata_snapshot;
        finding.file = path;
        finding.position = position;
        finding.length = length;
        finding.what = std::move(fault);
        finding.advice = fmt::format("a {} cannot be mended: take it from another controller or a backup", what);
        report(finding);
    };
    const auto file = files_.open(path, io::OpenMode::read);
    const auto size = file ? (*file)->size() : fail(file.error());
    if (!size)
        return told(Finding::kNowhere, 0, fmt::format("cannot be read ({})", std::strerror(size.error().os_errno)));
    SegmentScanner scanner{**file, 0, *size, Offset{0}, Offset{0}};
    bool ends_well = false;
    for (;;) {
        const auto step = scanner.next();
        if (!step) return told(scanner.next_position(), 0, std::string{step.error().what});
        if (step->kind == SegmentScanner::Kind::end) break;
        if (step->kind != SegmentScanner::Kind::batch) {
            told(step->position, step->length, std::string{step->what});
            ends_well = true;  // said enough
            continue;
        }
        std::int64_t records = 0;
        const record::RecordBatchView* batch = scanner.batch();
        const std::string_view wrong = batch != nullptr ? records_fault(*batch, records) : std::string_view{};
        if (!wrong.empty()) told(step->position, step->length, std::string{wrong});
        ends_well = batch != nullptr && is_footer(*batch);
        std::lock_guard guard{mutex_};
        ++summary_.batches;
        summary_.records += static_cast<std::uint64_t>(records);
        summary_.bytes += step->length;
    }
    if (!ends_well) told(*size, 0, "does not end with a footer: it was not written to its end");
}

}  // namespace odr::storage
