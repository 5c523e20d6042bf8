#pragma once

#include <vector>

#include "record/record.h"

namespace odr::storage {

// All records of one batch of any magic, checked and unpacked. The memory is used again for the next batch.
//
// Threads: one.
class BatchRecords {
public:
    // Gives:  in all(), the records; views that live until the next read(), and as long as the batch's bytes.
    // Errors: corrupt_message for a CRC that is not the batch's, or compressed bytes that are broken; invalid_record
    // for
    //         records that are.
    Result<void> read(const record::RecordBatchView& batch);
    const std::vector<record::Record>& all() const { return records_; }

private:
    Result<void> read_legacy(const record::RecordBatchView& batch);

    std::vector<record::Record> records_;
    std::vector<std::uint8_t> unpacked_;
};

}  // namespace odr::storage
