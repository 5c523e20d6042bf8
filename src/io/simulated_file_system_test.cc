#include "io/simulated_file_system.h"

#include <gtest/gtest.h>

#include <array>

namespace odr::io {
namespace {

TEST(SimulatedFileSystemTest, ReadsReachTheEndOfTheFileAndNoFurther) {
    SimulatedFileSystem files;
    files.set_contents("./a", "abc");
    const auto file = files.open("./a", OpenMode::read);
    ASSERT_TRUE(file);
    std::array<std::uint8_t, 8> into{};
    EXPECT_EQ((*file)->read_at(into, 1), 2U);
    EXPECT_EQ(into[1], 'c');
    EXPECT_EQ((*file)->read_at(into, 3), 0U);
}

TEST(SimulatedFileSystemTest, NothingCanBeReadIntoNoMemory) {
    SimulatedFileSystem files;
    files.set_contents("./a", "abc");
    EXPECT_EQ((*files.open("./a", OpenMode::read))->read_at({}, 0), 0U);
}

TEST(SimulatedFileSystemTest, ASyncOfTheVolumeMakesBytesAndNamesDurableAndWhatComesLaterIsNot) {
    for (std::uint64_t seed = 0; seed < 32; ++seed) {
        SimulatedFileSystem files;
        const auto volume = files.open_volume(".");
        ASSERT_TRUE(volume.has_value());
        (void)(*files.open("./a", OpenMode::create))->write_at(as_bytes(std::string_view{"abc"}), 0);
        ASSERT_TRUE(files.rename("./a", "./b"));
        ASSERT_TRUE((*volume)->sync(MayBlock::for_test()));
        files.crash(seed);
        EXPECT_EQ(files.contents("./b"), "abc");
        EXPECT_FALSE(files.exists("./a"));
    }
}

}  // namespace
}  // namespace odr::io
