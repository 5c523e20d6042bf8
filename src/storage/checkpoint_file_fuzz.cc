#include "base/assert.h"
#include "storage/checkpoint_file.h"

// Text of checkpoint, epoch and property files: what decodes survives a round trip.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace odr;
    using namespace odr::storage;
    const std::string_view text = as_text({data, size});
    if (const auto offsets = decode_offset_checkpoint(text)) {
        ODR_ASSERT(decode_offset_checkpoint(encode_offset_checkpoint(*offsets)).value() == *offsets, "offsets");
    }
    if (const auto epochs = decode_epoch_checkpoint(text)) {
        ODR_ASSERT(decode_epoch_checkpoint(encode_epoch_checkpoint(*epochs)).value() == *epochs, "epochs");
        LeaderEpochCache cache;
        cache.load(*epochs);
    }
    if (const auto id = decode_partition_metadata(text)) {
        ODR_ASSERT(decode_partition_metadata(encode_partition_metadata(*id)).value() == *id, "topic id");
    }
    (void)decode_clean_shutdown(text);
    (void)decode_meta_properties(text);
    (void)parse_log_folder_name(text);
    return 0;
}
