#include "cli/dump_batches.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <vector>

#include "cli/dump_line.h"
#include "record/compression.h"
#include "storage/batch_walker.h"
#include "storage/log_segment.h"

namespace odr::cli {
namespace {

constexpr std::size_t kUnpackedBytesMax = std::size_t{2} << 30;
constexpr std::string_view kIndent = "| ";

std::string_view timestamp_type_of(const record::RecordBatchHeader& batch) {
    if (batch.magic() == 0) return "NoTimestampType";
    return batch.timestamp_type() == record::TimestampType::log_append_time ? "LogAppendTime" : "CreateTime";
}

void print_batch(const record::RecordBatchView& batch, std::uint64_t position, const DumpOptions& options) {
    DumpLine line{options.is_json, "batch"};
    if (batch.is_legacy()) {
        line.number("offset", batch.last_offset().raw());
    } else {
        line.number("baseOffset", batch.base_offset().raw());
        line.number("lastOffset", batch.last_offset().raw());
        line.number("count", batch.record_count());
        line.number("baseSequence", batch.base_sequence());
        line.number("lastSequence", batch.last_sequence());
        line.number("producerId", batch.producer_id().raw());
        line.number("producerEpoch", batch.producer_epoch().raw());
        line.number("partitionLeaderEpoch", batch.partition_leader_epoch().raw());
        line.flag("isTransactional", batch.is_transactional());
        line.flag("isControl", batch.is_control());
        line.optional("deleteHorizonMs", batch.has_delete_horizon(), batch.base_timestamp().raw());
    }
    line.number("position", static_cast<std::int64_t>(position));
    if (options.is_json) line.text("timestampType", timestamp_type_of(batch));
    line.number(options.is_json ? "maxTimestamp" : timestamp_type_of(batch), batch.max_timestamp().raw());
    line.number("size", static_cast<std::int64_t>(batch.size_in_bytes()));
    line.number("magic", batch.magic());
    line.text("compresscodec", is_known(batch.compression()) ? to_string(batch.compression()) : "unknown");
    line.number("crc", batch.crc());
    line.flag("isvalid", batch.is_crc_valid());
    line.print();
}

std::int64_t size_of(const std::optional<ByteView>& field) {
    return field ? static_cast<std::int64_t>(field->size()) : -1;
}

void add_contents(DumpLine& line, const DecodedRecord& decoded) {
    const auto add = [&](std::string_view name, const std::optional<DecodedField>& field) {
        if (!field) return line.null(name);
        field->is_json&& line.is_json() ? line.object(name, field->text) : line.text(name, field->text);
    };
    add("key", decoded.key);
    add("payload", decoded.value);
}

// One record on its way to a line: of any magic.
struct ShownRecord {
    Offset offset;
    std::int64_t timestamp = -1;
    std::optional<ByteView> key, value;
    const record::Record* v2 = nullptr;
    std::int32_t sequence = -1;
    bool crc_is_valid = false;  // of a legacy message
    std::uint32_t crc = 0;
};

class RecordPrinter {
public:
    RecordPrinter(const std::string& path, const DumpOptions& options, DumpComplaints& complaints)
        : path_{path}, options_{options}, complaints_{complaints} {}

    void print_all(const record::RecordBatchView& batch, std::uint64_t position) {
        const Result<void> done = batch.is_legacy() ? legacy(batch) : modern(batch);
        if (done) return;
        complaints_.has_errors = true;
        std::fflush(stdout);
        fmt::print(stderr, "The records of the batch at position {} cannot be read: {}\n", position, done.error().what);
    }

private:
    Result<void> modern(const record::RecordBatchView& batch) {
        std::vector<std::uint8_t> plain;
        ByteView payload = batch.payload();
        if (batch.is_compressed() && batch.record_count() > 0) {
            ODR_CHECK(record::decompress(batch.compression(), payload, kUnpackedBytesMax, plain));
            payload = plain;
        } else if (batch.is_compressed()) {
            return {};
        }
        record::RecordIterator records{payload, batch.record_count()};
        for (;;) {
            ODR_TRY(record, records.next());
            if (!record) return {};
            const std::int32_t sequence = batch.base_sequence() < 0
                                              ? -1
                                              : record::increment_sequence(batch.base_sequence(), record->offset_delta);
            show(batch, {.offset = record->offset(batch),
                         .timestamp = record->timestamp(batch).raw(),
                         .key = record->key,
                         .value = record->value,
                         .v2 = &*record,
                         .sequence = sequence});
        }
    }

    // Magic 0 and 1: key and value, each behind its length; a compressed message holds a set of messages.
    static bool read_field(ByteView& rest, std::optional<ByteView>& out) {
        if (rest.size() < 4) return false;
        const auto length = load_be<std::int32_t>(rest.data());
        rest = rest.subspan(4);
        if (length < 0) return out.reset(), true;
        if (static_cast<std::size_t>(length) > rest.size()) return false;
        out = rest.first(static_cast<std::size_t>(length));
        rest = rest.subspan(static_cast<std::size_t>(length));
        return true;
    }
    Result<ShownRecord> message(const record::RecordBatchView& batch) {
        ShownRecord out{.offset = batch.base_offset(), .timestamp = batch.max_timestamp().raw()};
        ByteView rest = batch.payload();
        if (!read_field(rest, out.key) || !read_field(rest, out.value))
            return fail(ErrorCode::corrupt_message, "a message's key or value does not fit");
        out.crc = batch.crc();
        out.crc_is_valid = batch.is_crc_valid();
        return out;
    }
    Result<void> legacy(const record::RecordBatchView& batch) {
        ODR_TRY(outer, message(batch));
        if (!batch.is_compressed()) {
            show(batch, outer);
            return {};
        }
        if (!outer.value) return fail(ErrorCode::corrupt_message, "a compressed message has no value");
        std::vector<std::uint8_t> plain;
        ODR_CHECK(record::decompress(batch.compression(), *outer.value, kUnpackedBytesMax, plain));
        std::vector<ShownRecord> inner;
        for (ByteView rest = plain; !rest.empty();) {
            ODR_TRY(one, record::RecordBatchView::parse(rest));
            ODR_TRY(read, message(one));
            if (batch.timestamp_type() == record::TimestampType::log_append_time) read.timestamp = outer.timestamp;
            inner.push_back(read);
            rest = rest.subspan(one.size_in_bytes());
        }
        // Magic 1 counts from the first message; the wrapper has the last one's offset.
        const bool is_relative = batch.magic() == 1 && !inner.empty();
        const std::int64_t base = is_relative ? batch.base_offset() - inner.back().offset : 0;
        for (ShownRecord& one : inner) {
            one.offset = one.offset + base;
            show(batch, one);
        }
        return {};
    }

    void show(const record::RecordBatchHeader& batch, const ShownRecord& record) {
        if (record.offset < options_.from_offset || record.offset > options_.to_offset ||
            record.timestamp < options_.from_timestamp || record.timestamp > options_.to_timestamp) {
            return;
        }
        if (last_ && record.offset != *last_ + 1) complaints_.gaps[path_][last_->raw()] = record.offset.raw();
        last_ = record.offset;
        DumpLine line{options_.is_json, "record"};
        if (!options_.skips_record_metadata) add_metadata(line, batch, record);
        if (options_.prints_contents && !batch.is_control()) {
            add_contents(line, options_.decoder->decode(record.offset, record.key, record.value));
        }
        line.start_with(kIndent);
        line.print();
    }

    static void add_metadata(DumpLine& line, const record::RecordBatchHeader& batch, const ShownRecord& record) {
        line.number("offset", record.offset.raw());
        if (line.is_json()) line.text("timestampType", timestamp_type_of(batch));
        line.number(line.is_json() ? "timestamp" : timestamp_type_of(batch), record.timestamp);
        line.number("keySize", size_of(record.key));
        line.number("valueSize", size_of(record.value));
        if (record.v2 == nullptr) {
            line.flag("isValid", record.crc_is_valid);
            line.number("crc", record.crc);
            return;
        }
        line.number("sequence", record.sequence);
        std::string keys;
        protocol::JsonWriter json;
        json.begin_array();
        for (const record::Header& header : record.v2->header_list()) {
            if (!keys.empty() || json.text().size() > 1) keys += ',';
            keys += java_string(header.key);
            json.value(std::string_view{java_string(header.key)});
        }
        json.end_array();
        line.is_json() ? line.object("headerKeys", json.text()) : line.text("headerKeys", "[" + keys + "]");
        if (!batch.is_control()) return;
        const auto control = describe_control_record(*record.v2);
        if (!control) return line.text("controlType", "unreadable");
        control->is_json ? line.object(control->name, control->value, control->separator)
                         : line.text(control->name, control->value);
        if (control->coordinator_epoch) line.number("coordinatorEpoch", *control->coordinator_epoch);
    }

    const std::string& path_;
    const DumpOptions& options_;
    DumpComplaints& complaints_;
    std::optional<Offset> last_;
};

bool is_wanted(const record::RecordBatchHeader& batch, const DumpOptions& options) {
    // A compressed set of old messages tells its first offset only when it is unpacked.
    const bool from = batch.last_offset() >= options.from_offset;
    const bool to = batch.is_legacy() || batch.base_offset() <= options.to_offset;
    return from && to && batch.max_timestamp().raw() >= options.from_timestamp;
}

void print_start(const std::string& name, const DumpOptions& options) {
    if (options.is_json) return;
    if (name.ends_with(".log")) {
        if (const auto base = storage::offset_of_file_name(name)) fmt::print("Log starting offset: {}\n", *base);
        return;
    }
    if (name == "bootstrap.checkpoint") return fmt::print("KRaft bootstrap snapshot\n");
    std::int64_t offset = 0;
    std::int32_t epoch = 0;
    const std::string_view text{name};
    const auto dash = text.find('-');
    if (dash == std::string_view::npos || dash + 1 >= text.size()) return;
    const auto read_offset = std::from_chars(text.data(), text.data() + dash, offset);
    const auto read_epoch = std::from_chars(text.data() + dash + 1, text.data() + text.size(), epoch);
    if (read_offset.ec == std::errc{} && read_epoch.ec == std::errc{})
        fmt::print("Snapshot end offset: {}, epoch: {}\n", offset, epoch);
}

}  // namespace

void dump_log(const std::string& path, const DumpOptions& options, DumpComplaints& complaints) {
    const std::string name = path.substr(path.rfind('/') + 1);
    print_start(name, options);
    const auto file = io::real_file_system().open(path, io::OpenMode::read);
    const auto size = file ? (*file)->size() : fail(file.error());
    if (!size) {
        complaints.has_errors = true;
        fmt::print(stderr, "{}: {}\n", path, size.error().what);
        return;
    }
    const bool is_bounded = options.bytes_max < std::numeric_limits<std::int32_t>::max();
    const io::FilePos end =
        is_bounded ? std::min<io::FilePos>(*size, static_cast<io::FilePos>(options.bytes_max)) : *size;
    storage::BatchScanner scanner{**file, 0, end, storage::BatchScanner::LargeDamaged::given};
    RecordPrinter records{path, options, complaints};
    for (;;) {
        const auto batch = scanner.next();
        if (!batch) {
            complaints.has_errors = true;
            std::fflush(stdout);
            fmt::print(stderr, "{}: no batch at position {}: {}\n", path, scanner.next_position(), batch.error().what);
        }
        if (!batch || !*batch) break;
        const record::RecordBatchView& view = **batch;
        if (!view.is_legacy() && view.base_offset() > options.to_offset) return;
        if (!is_wanted(view, options)) continue;
        print_batch(view, scanner.position(), options);
        if (options.is_deep) records.print_all(view, scanner.position());
    }
    const io::FilePos trailing = end - scanner.next_position();
    if (trailing == 0 || is_bounded) return;
    if (options.is_json) {
        DumpLine line{true, "trailing"};
        line.number("bytes", static_cast<std::int64_t>(trailing));
        return line.print();
    }
    fmt::print("Found {} invalid bytes at the end of {}\n", trailing, name);
}

void DumpComplaints::print() const {
    std::fflush(stdout);
    const auto each = [](const auto& files, std::string_view title, std::string_view first, std::string_view second,
                         bool reversed) {
        for (const auto& [file, pairs] : files) {
            fmt::print(stderr, "{}{}\n", title, file);
            std::vector<std::pair<std::int64_t, std::int64_t>> lines(pairs.begin(), pairs.end());
            if (reversed) std::reverse(lines.begin(), lines.end());
            for (const auto& [a, b] : lines) fmt::print(stderr, "{}{}{}{}\n", first, a, second, b);
        }
    };
    each(offset_mismatches, "Mismatches in :", "  Index offset: ", ", log offset: ", true);
    each(time_mismatches, "Found timestamp mismatch in :", "  Index timestamp: ", ", log timestamp: ", false);
    each(time_disorder,
         "Found out of order timestamp in :", "  Index timestamp: ", ", Previously indexed timestamp: ", false);
    each(time_not_found,
         "The following indexed offsets are not found in :", "Indexed offset: ", ", found log offset: ", false);
    each(gaps, "Non-consecutive offsets in ", "  ", " is followed by ", false);
}

}  // namespace odr::cli
