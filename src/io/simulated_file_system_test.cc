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

}  // namespace
}  // namespace odr::io
