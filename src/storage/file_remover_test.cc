#include "storage/file_remover.h"

#include <gtest/gtest.h>

#include "io/simulated_file_system.h"

namespace odr::storage::test {
namespace {

const io::MayBlock kMayBlock = io::MayBlock::for_test();
constexpr TimestampMs kNow{1'000'000};

class FileRemoverTest : public testing::Test {
protected:
    void write(const std::string& path, std::size_t bytes) {
        (void)files.create_directories(path.substr(0, path.rfind('/')));
        files.set_contents(path, std::string(bytes, 'x'));
    }
    std::size_t size(const std::string& path) { return files.size_of(path).value_or(0); }

    io::SimulatedFileSystem files;
    FileRemover remover{files, {.files = 3, .bytes = 100, .step_bytes = 40}};
};

TEST_F(FileRemoverTest, NothingGoesBeforeItsTime) {
    write("/a/x", 1);
    remover.add("/a/x", TimestampMs{kNow.raw() + 1}, false);
    EXPECT_EQ(remover.run_once(kMayBlock, kNow), 0U);
    EXPECT_TRUE(files.exists("/a/x"));
    EXPECT_EQ(remover.run_once(kMayBlock, TimestampMs{kNow.raw() + 1}), 1U);
    EXPECT_FALSE(files.exists("/a/x"));
}

TEST_F(FileRemoverTest, ALargeFileShrinksOverSeveralTurns) {
    write("/a/x", 250);
    remover.add("/a/x", kNow, false);
    EXPECT_EQ(remover.run_once(kMayBlock, kNow), 0U);
    EXPECT_EQ(size("/a/x"), 130U);
    EXPECT_EQ(remover.run_once(kMayBlock, kNow), 0U);
    EXPECT_EQ(remover.run_once(kMayBlock, kNow), 1U);
    EXPECT_FALSE(files.exists("/a/x"));
    EXPECT_EQ(remover.waiting(), 0U);
}

TEST_F(FileRemoverTest, AFolderGoesAFewFilesATurnAndIsGoneWithTheLast) {
    for (int i = 0; i < 7; ++i) write("/a/t-0-delete/" + std::to_string(i), 1);
    remover.add("/a/t-0-delete", kNow, true);
    EXPECT_EQ(remover.run_once(kMayBlock, kNow), 3U);
    EXPECT_EQ(remover.run_once(kMayBlock, kNow), 3U);
    EXPECT_TRUE(files.exists("/a/t-0-delete"));
    EXPECT_EQ(remover.run_once(kMayBlock, kNow), 2U);
    EXPECT_FALSE(files.exists("/a/t-0-delete"));
}

TEST_F(FileRemoverTest, ALargeFileThatIsReadIsWaitedForAndItsBytesStay) {
    write("/a/x", 250);
    auto reader = files.open("/a/x", io::OpenMode::read);
    remover.add("/a/x", kNow, false);
    EXPECT_EQ(remover.run_once(kMayBlock, kNow), 0U);
    EXPECT_EQ((*reader)->size().value(), 250U);
    // Who reads for longer keeps the bytes, but not the name.
    EXPECT_EQ(remover.run_once(kMayBlock, TimestampMs{kNow.raw() + FileRemover::kPatienceMs}), 1U);
    EXPECT_FALSE(files.exists("/a/x"));
    EXPECT_EQ((*reader)->size().value(), 250U);
}

TEST_F(FileRemoverTest, OneFileInUseHoldsUpNoOther) {
    write("/a/x", 250);
    write("/a/y", 1);
    const auto reader = files.open("/a/x", io::OpenMode::read);
    remover.add("/a/x", kNow, false);
    remover.add("/a/y", kNow, false);
    EXPECT_EQ(remover.run_once(kMayBlock, kNow), 1U);
    EXPECT_FALSE(files.exists("/a/y"));
    EXPECT_TRUE(files.exists("/a/x"));
}

TEST_F(FileRemoverTest, WhatIsGoneAlreadyIsNoTrouble) {
    remover.add("/a/none", kNow, false);
    remover.add("/a/no-folder", kNow, true);
    remover.run_once(kMayBlock, kNow);
    EXPECT_EQ(remover.waiting(), 0U);
}

}  // namespace
}  // namespace odr::storage::test
