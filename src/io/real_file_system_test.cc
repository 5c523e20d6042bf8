#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "io/file_system.h"

namespace odr::io {
namespace {

class RealFileSystemTest : public testing::Test {
protected:
    RealFileSystemTest() {
        std::string name = (std::filesystem::temp_directory_path() / "odr-io-XXXXXX").string();
        folder = ::mkdtemp(name.data());
    }
    ~RealFileSystemTest() override { std::filesystem::remove_all(folder); }
    std::string write(const std::string& name, std::size_t bytes) const {
        std::ofstream{folder + "/" + name} << std::string(bytes, 'x');
        return folder + "/" + name;
    }

    FileSystem& files = real_file_system();
    std::string folder;
};

TEST_F(RealFileSystemTest, AFileNobodyHasOpenIsRemovedInParts) {
    const std::string path = write("large", 10'000);
    const auto first = files.remove_part(MayBlock::for_test(), path, 4'096);
    ASSERT_TRUE(first.has_value());
    EXPECT_FALSE(first->removed);
    EXPECT_EQ(files.size_of(path).value(), 10'000U - 4'096U);
    (void)files.remove_part(MayBlock::for_test(), path, 4'096);
    EXPECT_TRUE(files.remove_part(MayBlock::for_test(), path, 4'096)->removed);
    EXPECT_FALSE(files.exists(path));
    EXPECT_TRUE(files.remove_part(MayBlock::for_test(), path, 4'096)->removed) << "missing is no error";
}

TEST_F(RealFileSystemTest, AFileThatIsOpenIsNotCutUnderItsReader) {
    const std::string path = write("large", 10'000);
    const auto reader = files.open(path, OpenMode::read);
    const auto refused = files.remove_part(MayBlock::for_test(), path, 4'096);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().os_errno, EBUSY);
    EXPECT_EQ((*reader)->size().value(), 10'000U);
}

TEST_F(RealFileSystemTest, AVolumeIsSyncedWhereAFailureWouldBeToldAndRefusedElsewhere) {
    write("small", 100);
    const auto volume = files.open_volume(folder);
    ASSERT_TRUE(volume.has_value());
    if (*volume != nullptr) {
        EXPECT_TRUE((*volume)->sync(MayBlock::for_test()));
    }
    const auto unknown = files.open_volume("/proc");
    ASSERT_TRUE(unknown.has_value());
    EXPECT_EQ(*unknown, nullptr);
    EXPECT_EQ(files.open_volume(folder + "/missing").error().os_errno, ENOENT);
}

}  // namespace
}  // namespace odr::io
