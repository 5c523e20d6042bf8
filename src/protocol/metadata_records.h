#pragma once

#include <cstdint>

#include "base/result.h"
#include "protocol/generated/record_types.h"
#include "protocol/reader.h"
#include "protocol/writer.h"

namespace odr::protocol {

// The value of a record in __cluster_metadata (and of the records of a snapshot): three unsigned varints, then the
// body.
inline constexpr std::uint32_t kMetadataFrameVersion = 1;

struct MetadataRecordFrame {
    std::int16_t type = 0;     // a MetadataRecordType, or one that we do not know
    std::int16_t version = 0;  // of the body
    ByteView body;
};

// Errors: invalid_record where the frame version is not 1, a number is out of range or bytes are missing.
Result<MetadataRecordFrame> decode_metadata_frame(ByteView value);

// Writes frame and body. Needs: Record is a metadata record.
template <class Record>
void encode_metadata_record(Writer& out, std::int16_t version, const Record& record) {
    out.unsigned_varint(kMetadataFrameVersion);
    out.unsigned_varint(static_cast<std::uint32_t>(Record::kApiKey));
    out.unsigned_varint(static_cast<std::uint32_t>(version));
    encode(out, version, record);
}

// Reads the body of a frame whose type is the record's. Bytes behind the body are an error, as in Kafka.
template <class Record>
Result<Record> decode_metadata_body(const MetadataRecordFrame& frame) {
    Reader in{frame.body};
    Result<Record> out{std::in_place};
    if (auto decoded = decode(in, frame.version, *out); !decoded) {
        out = std::unexpected{decoded.error()};
    } else if (in.remaining() != 0) {
        out = fail(ErrorCode::invalid_record, "metadata record: bytes behind the end");
    }
    return out;
}

}  // namespace odr::protocol
