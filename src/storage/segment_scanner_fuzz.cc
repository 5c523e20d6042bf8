#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "io/simulated_file_system.h"
#include "storage/segment_scanner.h"

// Whatever a segment holds: the steps cover the file from start to end without a gap, and a batch that is given is
// sound.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using odr::storage::SegmentScanner;
    odr::io::SimulatedFileSystem files;
    (void)files.create_directories("/f");
    files.set_contents("/f/log", {reinterpret_cast<const char*>(data), size});
    const auto file = files.open("/f/log", odr::io::OpenMode::read);
    ODR_ASSERT(file.has_value(), "it was just made");
    SegmentScanner scanner{**file, 0, size, odr::Offset{0}, odr::Offset{0}};
    for (odr::io::FilePos at = 0;;) {
        const auto step = scanner.next();
        ODR_ASSERT(step.has_value(), "simulated files can be read");
        if (step->kind == SegmentScanner::Kind::end) break;
        if (step->position < at) continue;  // the batch before is found wrong by the one that follows it
        ODR_ASSERT(step->position == at && step->length > 0, "position={} at={}", step->position, at);
        if (step->kind == SegmentScanner::Kind::batch) {
            ODR_ASSERT(scanner.batch() != nullptr && scanner.batch()->is_crc_valid(), "at={}", at);
            std::int64_t records = 0;
            (void)odr::storage::records_fault(*scanner.batch(), records);
        }
        at += step->length;
    }
    ODR_ASSERT(scanner.next_position() == size, "size={}", size);
    return 0;
}
