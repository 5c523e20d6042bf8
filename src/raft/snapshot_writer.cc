#include "raft/snapshot_writer.h"

#include "base/assert.h"
#include "raft/control_records.h"

namespace odr::raft {

Result<std::unique_ptr<SnapshotWriter>> SnapshotWriter::create(io::MayBlock, io::FileSystem& files, Options options) {
    std::unique_ptr<SnapshotWriter> writer{new SnapshotWriter{files, std::move(options)}};
    writer->part_path_ = writer->options_.path + ".part";
    ODR_TRY(file, files.open(writer->part_path_, io::OpenMode::truncate));
    writer->file_ = std::move(file);
    ODR_CHECK(writer->write_header());
    writer->pending_ = writer->new_batch(false);
    return writer;
}

SnapshotWriter::~SnapshotWriter() {
    if (frozen_ || file_ == nullptr) return;
    file_.reset();
    (void)files_.remove(part_path_);  // what stays is removed by the next start
}

record::RecordBatchBuilder SnapshotWriter::new_batch(bool is_control) const {
    record::RecordBatchBuilder::Options batch;
    batch.base_offset = Offset{next_offset_};
    batch.partition_leader_epoch = options_.id.epoch;
    batch.is_control = is_control;
    return record::RecordBatchBuilder{batch};
}

Result<void> SnapshotWriter::write(record::RecordBatchBuilder& batch) {
    const std::int32_t records = batch.record_count();
    ODR_TRY(bytes, batch.build());
    ODR_CHECK(file_->write_at(ByteView{bytes}, position_));
    position_ += bytes.size();
    next_offset_ += records;
    return {};
}

Result<void> SnapshotWriter::write_header() {
    auto batch = new_batch(true);
    append_snapshot_header(batch, options_.now, options_.last_contained_log_timestamp);
    if (options_.kraft_version >= 1) append_voters(batch, options_.now, options_.kraft_version, options_.voters);
    return write(batch);
}

Result<void> SnapshotWriter::write_footer() {
    auto batch = new_batch(true);
    append_snapshot_footer(batch, options_.now);
    return write(batch);
}

Result<void> SnapshotWriter::flush_records() {
    if (pending_.is_empty()) return {};
    ODR_CHECK(write(pending_));
    pending_ = new_batch(false);
    return {};
}

Result<void> SnapshotWriter::append(std::span<const ByteView> records) {
    ODR_ASSERT(!frozen_, "a frozen snapshot takes no records");
    for (const ByteView record : records) {
        const std::size_t more = record::RecordBatchBuilder::size_upper_bound({}, record, {});
        if (pending_.uncompressed_size() + more > options_.batch_bytes_max) ODR_CHECK(flush_records());
        pending_.append(options_.now, {}, record);
    }
    return {};
}

Result<void> SnapshotWriter::freeze(io::MayBlock may_block) {
    ODR_ASSERT(!frozen_, "a snapshot is frozen once");
    ODR_CHECK(flush_records());
    ODR_CHECK(write_footer());
    ODR_CHECK(file_->sync(may_block));
    file_.reset();
    ODR_CHECK(files_.rename(part_path_, options_.path));
    frozen_ = true;
    ODR_CHECK(files_.sync_directory(may_block, options_.path.substr(0, options_.path.rfind('/'))));
    if (options_.on_frozen) options_.on_frozen(options_.id);
    return {};
}

}  // namespace odr::raft
