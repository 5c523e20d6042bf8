#pragma once

#include "cli/dump_batches.h"

namespace odr::cli {

// The files beside a segment, as kafka-dump-log prints them.
void dump_offset_index(const std::string& path, const DumpOptions& options, DumpComplaints& complaints);
void dump_time_index(const std::string& path, const DumpOptions& options, DumpComplaints& complaints);
void dump_txn_index(const std::string& path, const DumpOptions& options, DumpComplaints& complaints);
void dump_producer_snapshot(const std::string& path, const DumpOptions& options, DumpComplaints& complaints);
// leader-epoch-checkpoint, offset checkpoints, partition.metadata, meta.properties: our own.
// Gives: false when the name is none of them.
bool dump_small_file(const std::string& path, const DumpOptions& options, DumpComplaints& complaints);

}  // namespace odr::cli
