#include <algorithm>
#include <string>

#include "base/assert.h"
#include "metadata/delta.h"
#include "metadata/image_writer.h"

// Any run of records (each with its length in two bytes before it) leaves an image that its own records make again.
namespace {

using namespace odr;
using namespace odr::metadata;

std::vector<std::string> sorted_records(const MetadataImage& image) {
    const auto list = image_records(image);
    ODR_ASSERT(list.has_value());
    std::vector<std::string> records;
    for (std::size_t i = 0; i < list->size(); ++i) records.emplace_back(as_text((*list)[i]));
    std::ranges::sort(records);
    return records;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ByteView rest{data, size};
    MetadataDelta delta{MetadataImage::empty()};
    while (rest.size() > 2) {
        const std::size_t length = std::min<std::size_t>(load_be<std::uint16_t>(rest.data()), rest.size() - 2);
        if (!delta.replay(rest.subspan(2, length))) return 0;
        rest = rest.subspan(2 + length);
    }
    const auto image = delta.apply({});
    const auto want = sorted_records(*image);
    MetadataDelta again{MetadataImage::empty()};
    again.begin_snapshot();
    const auto list = image_records(*image);
    for (std::size_t i = 0; i < list->size(); ++i) {
        const auto done = again.replay((*list)[i]);
        ODR_ASSERT(done.has_value(), "{}", done.error().what);
    }
    again.finish_snapshot();
    ODR_ASSERT(sorted_records(*again.apply({})) == want, "round trip");
    return 0;
}
