#include "protocol/metadata_records.h"

namespace odr::protocol {

Result<MetadataRecordFrame> decode_metadata_frame(ByteView value) {
    Reader in{value};
    const std::uint32_t frame_version = in.unsigned_varint();
    const std::uint32_t type = in.unsigned_varint();
    const std::uint32_t version = in.unsigned_varint();
    if (in.failed()) return fail(ErrorCode::invalid_record, "metadata record: frame cut short");
    if (frame_version != kMetadataFrameVersion) {
        return fail(ErrorCode::invalid_record, "metadata record: unknown frame version");
    }
    if (type > INT16_MAX) return fail(ErrorCode::invalid_record, "metadata record: type out of range");
    if (version > INT16_MAX) return fail(ErrorCode::invalid_record, "metadata record: version out of range");
    return MetadataRecordFrame{static_cast<std::int16_t>(type), static_cast<std::int16_t>(version), in.rest()};
}

}  // namespace odr::protocol
