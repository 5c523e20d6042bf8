#include "cli/dump_indexes.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/dump_line.h"
#include "record/record_reader.h"
#include "storage/batch_walker.h"
#include "storage/checkpoint_file.h"
#include "storage/index_file.h"
#include "storage/log_segment.h"
#include "storage/producer_state_manager.h"

namespace odr::cli {
namespace {

using storage::OffsetIndexEntry;
using storage::TimeIndexEntry;
using storage::TxnIndexEntry;

void complain(const std::string& path, std::string_view what, DumpComplaints& complaints) {
    complaints.has_errors = true;
    std::fflush(stdout);
    fmt::print(stderr, "{}: {}\n", path, what);
}

Offset base_of(const std::string& path) {
    return storage::offset_of_file_name(path.substr(path.rfind('/') + 1)).value_or(Offset{0});
}
std::string beside(const std::string& path, std::string_view suffix) {
    return path.substr(0, path.rfind('.')) + std::string{suffix};
}

// All entries that stand in the file, preallocated ones too.
template <class Entry>
std::optional<std::vector<Entry>> entries_of(const std::string& path, DumpComplaints& complaints) {
    const auto text = io::real_file_system().read_file(path);
    if (!text) {
        complain(path, text.error().what, complaints);
        return std::nullopt;
    }
    std::vector<Entry> out;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(text->data());
    for (std::size_t at = 0; at + Entry::kBytes <= text->size(); at += Entry::kBytes)
        out.push_back(Entry::decode(bytes + at));
    return out;
}

// Kafka's AbstractIndex.sanityCheck.
bool check_sanity(const std::string& path, std::size_t entry_bytes, bool keys_are_sane, DumpComplaints& complaints) {
    const auto size = io::real_file_system().size_of(path);
    if (!size || *size % entry_bytes != 0 || !keys_are_sane) {
        complain(path, "did not pass the sanity check", complaints);
        return false;
    }
    fmt::print("{} passed sanity check.\n", path);
    return true;
}

}  // namespace

void dump_offset_index(const std::string& path, const DumpOptions& options, DumpComplaints& complaints) {
    const auto entries = entries_of<OffsetIndexEntry>(path, complaints);
    const auto log = io::real_file_system().open(beside(path, storage::kLogSuffix), io::OpenMode::read);
    if (!entries) return;
    if (!log) return complain(beside(path, storage::kLogSuffix), log.error().what, complaints);
    if (entries->empty()) {
        if (!options.is_json) fmt::print("{} is empty.\n", path);
        return;
    }
    const Offset base = base_of(path);
    if (options.checks_sanity_only) {
        (void)check_sanity(path, OffsetIndexEntry::kBytes, entries->back().relative_offset >= 0, complaints);
        return;
    }
    const io::FilePos size = (*log)->size().value_or(0);
    for (std::size_t i = 0; i < entries->size(); ++i) {
        const OffsetIndexEntry& entry = (*entries)[i];
        const Offset offset = base + entry.relative_offset;
        if (offset == base && i > 0) return;  // zeros behind the end
        storage::HeaderWalker walk{**log, entry.position, size, storage::Access::may_wait};
        const auto batch = entry.position < size ? walk.next() : decltype(walk.next()){};
        const Offset last = batch && *batch ? (*batch)->last_offset() : kNoOffset;
        if (last != offset) complaints.offset_mismatches[path][offset.raw()] = last.raw();
        if (options.verifies_only || offset < options.from_offset || offset > options.to_offset) continue;
        DumpLine line{options.is_json, "offsetIndex"};
        line.number("offset", offset.raw());
        line.number("position", entry.position);
        line.print();
    }
}

namespace {

// The largest timestamp of the records of a batch.
std::int64_t newest_record(const record::RecordBatchView& batch) {
    if (batch.is_legacy()) return batch.max_timestamp().raw();
    std::vector<std::uint8_t> plain;
    ByteView payload = batch.payload();
    if (batch.is_compressed()) {
        if (!record::decompress(batch.compression(), payload, std::size_t{2} << 30, plain)) return -1;
        payload = plain;
    }
    std::int64_t newest = -1;
    record::RecordIterator records{payload, batch.record_count()};
    for (;;) {
        const auto record = records.next();
        if (!record || !*record) return newest;
        newest = std::max(newest, (*record)->timestamp(batch).raw());
    }
}

void check_time_entry(const std::string& path, const TimeIndexEntry& entry, Offset offset, const io::File& log,
                      io::FilePos start, std::int64_t previous, DumpComplaints& complaints) {
    storage::BatchScanner scanner{log, start, log.size().value_or(0)};
    for (;;) {
        const auto batch = scanner.next();
        if (!batch || !*batch) {
            complaints.time_not_found[path][offset.raw()] = -1;
            return;
        }
        const record::RecordBatchView& view = **batch;
        if (view.last_offset() < offset) continue;
        if (view.last_offset() != offset) {
            complaints.time_not_found[path][offset.raw()] = view.last_offset().raw();
            return;
        }
        const std::int64_t newest = newest_record(view);
        if (newest != entry.timestamp) complaints.time_mismatches[path][entry.timestamp] = newest;
        if (previous >= entry.timestamp) complaints.time_disorder[path][entry.timestamp] = previous;
        return;
    }
}

}  // namespace

void dump_time_index(const std::string& path, const DumpOptions& options, DumpComplaints& complaints) {
    const auto entries = entries_of<TimeIndexEntry>(path, complaints);
    const auto log = io::real_file_system().open(beside(path, storage::kLogSuffix), io::OpenMode::read);
    if (!entries) return;
    if (!log) return complain(beside(path, storage::kLogSuffix), log.error().what, complaints);
    const Offset base = base_of(path);
    if (options.checks_sanity_only) {
        const bool is_sane = entries->empty() || (entries->back().timestamp >= entries->front().timestamp &&
                                                  entries->back().relative_offset >= 0);
        (void)check_sanity(path, TimeIndexEntry::kBytes, is_sane, complaints);
        return;
    }
    std::vector<OffsetIndexEntry> positions;
    const std::string index = beside(path, storage::kOffsetIndexSuffix);
    if (io::real_file_system().exists(index))
        positions = entries_of<OffsetIndexEntry>(index, complaints).value_or(std::vector<OffsetIndexEntry>{});
    while (!positions.empty() && positions.back().is_blank()) positions.pop_back();
    std::int64_t previous = -1;
    for (std::size_t i = 0; i < entries->size(); ++i) {
        const TimeIndexEntry& entry = (*entries)[i];
        const Offset offset = base + entry.relative_offset;
        if (offset == base && i > 0) return;
        const auto after =
            std::ranges::upper_bound(positions, entry.relative_offset, {}, &OffsetIndexEntry::relative_offset);
        const io::FilePos start = after == positions.begin() ? 0 : std::prev(after)->position;
        check_time_entry(path, entry, offset, **log, start, previous, complaints);
        previous = entry.timestamp;
        if (options.verifies_only || entry.timestamp < options.from_timestamp ||
            entry.timestamp > options.to_timestamp) {
            continue;
        }
        DumpLine line{options.is_json, "timeIndex"};
        line.number("timestamp", entry.timestamp);
        line.number("offset", offset.raw());
        line.print();
    }
}

void dump_txn_index(const std::string& path, const DumpOptions& options, DumpComplaints& complaints) {
    const auto entries = entries_of<TxnIndexEntry>(path, complaints);
    if (!entries) return;
    for (const TxnIndexEntry& entry : *entries) {
        DumpLine line{options.is_json, "abortedTransaction"};
        line.number("version", 0);
        line.number("producerId", entry.producer_id);
        line.number("firstOffset", entry.first_offset);
        line.number("lastOffset", entry.last_offset);
        line.number("lastStableOffset", entry.last_stable_offset);
        line.print();
    }
}

void dump_producer_snapshot(const std::string& path, const DumpOptions& options, DumpComplaints& complaints) {
    const auto text = io::real_file_system().read_file(path);
    const auto entries = text ? storage::decode_producer_snapshot(as_bytes(*text)) : fail(text.error());
    if (!entries) return complain(path, entries.error().what, complaints);
    for (const storage::ProducerSnapshotEntry& entry : *entries) {
        const storage::ProducerStateEntry& state = entry.state;
        DumpLine line{options.is_json, "producer"};
        line.number("producerId", entry.producer_id.raw());
        line.number("producerEpoch", state.producer_epoch.raw());
        line.number("coordinatorEpoch", state.coordinator_epoch);
        line.optional("currentTxnFirstOffset", state.current_txn_first_offset != kNoOffset,
                      state.current_txn_first_offset.raw());
        line.number("lastTimestamp", state.last_timestamp.raw());
        if (!state.empty()) {
            const storage::BatchMetadata& last = state.last();
            line.number("firstSequence", last.first_sequence());
            line.number("lastSequence", last.last_sequence);
            line.number("lastOffset", last.last_offset.raw());
            line.number("offsetDelta", last.offset_delta);
            line.number("timestamp", last.timestamp.raw());
        }
        line.print();
    }
}

bool dump_small_file(const std::string& path, const DumpOptions& options, DumpComplaints& complaints) {
    const std::string name = path.substr(path.rfind('/') + 1);
    const bool is_offsets = name == storage::kRecoveryPointCheckpoint || name == storage::kLogStartOffsetCheckpoint ||
                            name == storage::kHighWatermarkCheckpoint || name == storage::kCleanerOffsetCheckpoint;
    if (!is_offsets && name != storage::kLeaderEpochCheckpoint && name != storage::kPartitionMetadata &&
        name != storage::kMetaProperties) {
        return false;
    }
    const auto text = io::real_file_system().read_file(path);
    if (!text) return complain(path, text.error().what, complaints), true;
    if (is_offsets) {
        const auto offsets = storage::decode_offset_checkpoint(*text);
        if (!offsets) return complain(path, offsets.error().what, complaints), true;
        for (const auto& [topic_partition, offset] : *offsets) {
            DumpLine line{options.is_json, "checkpoint"};
            line.text("topic", topic_partition.topic);
            line.number("partition", topic_partition.partition.raw());
            line.number("offset", offset.raw());
            line.print();
        }
    } else if (name == storage::kLeaderEpochCheckpoint) {
        const auto entries = storage::decode_epoch_checkpoint(*text);
        if (!entries) return complain(path, entries.error().what, complaints), true;
        for (const storage::EpochEntry& entry : *entries) {
            DumpLine line{options.is_json, "leaderEpoch"};
            line.number("epoch", entry.epoch.raw());
            line.number("startOffset", entry.start_offset.raw());
            line.print();
        }
    } else if (name == storage::kPartitionMetadata) {
        const auto id = storage::decode_partition_metadata(*text);
        if (!id) return complain(path, id.error().what, complaints), true;
        DumpLine line{options.is_json, "partitionMetadata"};
        line.text("topicId", id->to_string());
        line.print();
    } else {
        const auto properties = storage::decode_meta_properties(*text);
        if (!properties) return complain(path, properties.error().what, complaints), true;
        DumpLine line{options.is_json, "metaProperties"};
        line.text("clusterId", properties->cluster_id);
        if (properties->node_id) line.number("nodeId", properties->node_id->raw());
        if (properties->directory_id) line.text("directoryId", properties->directory_id->to_string());
        line.print();
    }
    return true;
}

}  // namespace odr::cli
