#include "storage/segment_scanner.h"

#include <unistd.h>

#include <filesystem>

#include "io/file_hints.h"
#include "storage/log_test_support.h"

namespace odr::storage::test {
namespace {

// Batches of one record each, with offsets from 0 on.
std::string run_of_batches(int count, std::size_t value_bytes) {
    std::string out;
    for (int i = 0; i < count; ++i) {
        const auto batch = make_batch({.value_bytes = value_bytes, .base_offset = Offset{i}});
        out += as_text(batch);
    }
    return out;
}

struct Walk {
    std::size_t batches = 0, damage = 0, tails = 0;
    std::uint64_t broken_bytes = 0;
};
Walk walk(io::File& file) {
    Walk out;
    const auto size = file.size();
    SegmentScanner scanner{file, 0, *size, Offset{0}, Offset{0}};
    for (;;) {
        const auto step = scanner.next();
        EXPECT_TRUE(step.has_value());
        if (!step || step->kind == SegmentScanner::Kind::end) return out;
        if (step->kind == SegmentScanner::Kind::batch) {
            ++out.batches;
        } else {
            ++(step->kind == SegmentScanner::Kind::damage ? out.damage : out.tails);
            out.broken_bytes += step->length;
        }
    }
}

TEST(SegmentScannerTest, PagesThatNobodyHadCachedAreNotCachedAfterwards) {
    std::string folder = (std::filesystem::current_path() / "scanner-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    const std::string path = folder + "/log";
    const std::string bytes = run_of_batches(400, 10'000);
    {
        const auto file = io::real_file_system().open(path, io::OpenMode::create_new);
        ASSERT_TRUE((*file)->write_at(as_bytes(bytes), 0));
        ASSERT_TRUE((*file)->sync(kMayBlock));
        io::forget_cached(**file, 0, bytes.size());
        constexpr io::FilePos kUsed = std::size_t{1} << 20;  // by somebody else
        const auto reader = io::real_file_system().open(path, io::OpenMode::read);
        std::vector<std::uint8_t> used(kUsed);
        io::expect_scattered_reads(**reader);
        const bool can_forget = !(*reader)->resident(3 * kUsed, 4096);
        ASSERT_TRUE((*reader)->read_at(used, 0));
        const auto scanned = io::real_file_system().open(path, io::OpenMode::read);
        EXPECT_EQ(walk(**scanned).batches, 400U);
        if (can_forget) {  // not so on a tmpfs
            EXPECT_TRUE((*reader)->resident(0, kUsed));
            EXPECT_FALSE((*reader)->resident(2 * kUsed, 4096));
            EXPECT_FALSE((*reader)->resident(3 * kUsed, 4096));
        }
    }
    std::filesystem::remove_all(folder);
}

TEST(SegmentScannerTest, BatchesBehindALongStretchOfNoiseAreFoundAgain) {
    io::SimulatedFileSystem files;
    (void)files.create_directories("/f");
    std::string bytes = run_of_batches(200, 10'000);
    const std::size_t batch_size = bytes.size() / 200;
    // More than the scanner reads at once, from within the third batch to within the 150th.
    for (std::size_t at = batch_size * 2 + 5; at < batch_size * 149 + 7; ++at) bytes[at] = static_cast<char>(at * 31);
    files.set_contents("/f/log", bytes);
    const auto file = files.open("/f/log", io::OpenMode::read);
    const Walk found = walk(**file);
    EXPECT_EQ(found.batches, 2U + 50U);
    EXPECT_EQ(found.damage, 1U);
    EXPECT_EQ(found.broken_bytes, batch_size * 148);
}

TEST(SegmentScannerTest, ZerosBehindTheLastBatchAreATornTail) {
    io::SimulatedFileSystem files;
    (void)files.create_directories("/f");
    files.set_contents("/f/log", run_of_batches(3, 10) + std::string(5'000'000, '\0'));
    const auto file = files.open("/f/log", io::OpenMode::read);
    const Walk found = walk(**file);
    EXPECT_EQ(found.batches, 3U);
    EXPECT_EQ(found.tails, 1U);
    EXPECT_EQ(found.broken_bytes, 5'000'000U);
}

TEST(SegmentScannerTest, ABatchLargerThanMemoryAllowsHasItsCrcCheckedPieceByPiece) {
    io::SimulatedFileSystem files;
    (void)files.create_directories("/f");
    const auto large = make_batch({.value_bytes = SegmentScanner::kBatchInMemoryMax + 1000});
    std::string bytes{as_text(large)};
    files.set_contents("/f/log", bytes);
    {
        const auto file = files.open("/f/log", io::OpenMode::read);
        EXPECT_EQ(walk(**file).batches, 1U);
    }
    bytes[bytes.size() - 10] ^= 1;
    files.set_contents("/f/log", bytes);
    const auto file = files.open("/f/log", io::OpenMode::read);
    EXPECT_EQ(walk(**file).damage, 1U);
}

}  // namespace
}  // namespace odr::storage::test
