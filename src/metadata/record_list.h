#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "protocol/buffer.h"
#include "protocol/metadata_records.h"

namespace odr::metadata {

// Framed metadata records on their way into the log or a snapshot, one behind the other in one buffer.
//
// Owner:   the caller. Threads: one.
class RecordList {
public:
    // Needs: `version` is one that the record has and metadata.version allows.
    template <class Record>
    void add(const Record& record, std::int16_t version) {
        protocol::Writer out{bytes_};
        protocol::encode_metadata_record(out, version, record);
        ends_.push_back(bytes_.size());
    }
    // A record framed already.
    void add_framed(ByteView framed) {
        bytes_.append(framed);
        ends_.push_back(bytes_.size());
    }
    std::size_t size() const { return ends_.size(); }
    std::size_t size_in_bytes() const { return bytes_.size(); }
    bool empty() const { return ends_.empty(); }
    void clear() {
        bytes_.clear();
        ends_.clear();
    }
    ByteView operator[](std::size_t i) const {
        const std::size_t start = i == 0 ? 0 : ends_[i - 1];
        return bytes_.view().subspan(start, ends_[i] - start);
    }
    // For MetadataLog::append() and SnapshotWriter::append(). Valid until the next add().
    std::vector<ByteView> views() const {
        std::vector<ByteView> all;
        all.reserve(size());
        for (std::size_t i = 0; i < size(); ++i) all.push_back((*this)[i]);
        return all;
    }

private:
    protocol::Buffer bytes_;
    std::vector<std::size_t> ends_;
};

}  // namespace odr::metadata
