#include "base/assert.h"
#include "io/simulated_file_system.h"
#include "raft/snapshot_reader.h"
#include "raft/snapshot_writer.h"

// A snapshot that reads to its end can be written again and gives the same records.
namespace {

using namespace odr;

using Records = std::vector<std::vector<std::uint8_t>>;

std::optional<Records> read_all(io::SimulatedFileSystem& files, const std::string& path) {
    auto reader = raft::SnapshotReader::open(io::MayBlock::for_test(), files, path, {});
    if (!reader) return std::nullopt;
    Records all;
    for (;;) {
        const auto records = (*reader)->next(io::MayBlock::for_test());
        if (!records) return std::nullopt;
        if (records->empty()) return all;
        for (const ByteView record : *records) all.emplace_back(record.begin(), record.end());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    io::SimulatedFileSystem files;
    ODR_ASSERT(files.create_directories("/d").has_value());
    files.set_contents("/d/in", as_text({data, size}));
    const auto records = read_all(files, "/d/in");
    if (!records) return 0;
    raft::SnapshotWriter::Options options;
    options.path = "/d/out";
    auto writer = raft::SnapshotWriter::create(io::MayBlock::for_test(), files, options);
    ODR_ASSERT(writer.has_value());
    for (const auto& record : *records) {
        const ByteView view{record};
        ODR_ASSERT((*writer)->append({&view, 1}).has_value());
    }
    ODR_ASSERT((*writer)->freeze(io::MayBlock::for_test()).has_value());
    ODR_ASSERT(read_all(files, "/d/out") == records, "round trip");
    return 0;
}
