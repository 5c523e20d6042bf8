#include "base/assert.h"
#include "io/simulated_file_system.h"
#include "storage/index_file.h"

// Whatever an index file holds: counting and searching end, stay inside it, and agree with a walk where keys rise.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace odr;
    using namespace odr::storage;
    io::SimulatedFileSystem files;
    files.set_contents("./index", as_text({data, size}));
    const auto file = files.open("./index", io::OpenMode::read);
    const auto count = count_entries<OffsetIndexEntry>(**file);
    ODR_ASSERT(count.has_value() && *count <= size / OffsetIndexEntry::kBytes, "count");
    const auto entries = read_entries<OffsetIndexEntry>(**file, *count);
    const std::int64_t target = size > 0 ? data[0] * 1000 : 0;
    const auto found = find_entry<OffsetIndexEntry>(**file, *count, target);
    ODR_ASSERT(found.has_value(), "search");
    std::optional<OffsetIndexEntry> expected;
    for (std::size_t i = 0; i < entries->size(); ++i) {
        if (i > 0 && (*entries)[i].key() < (*entries)[i - 1].key()) return 0;
        if ((*entries)[i].key() <= target) expected = (*entries)[i];
    }
    ODR_ASSERT(*found == expected, "the search and the walk disagree");
    return 0;
}
