#include "server/output.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "io/simulated_file_system.h"

namespace odr::server {
namespace {

// What goes out is a count of bytes modulo 251, whether from the buffer or from a file.
std::uint8_t pattern(std::size_t at) { return static_cast<std::uint8_t>(at % 251); }

class OutputTest : public testing::Test {
protected:
    OutputTest() {
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends_), 0);
        EXPECT_TRUE(files_.create_directories("/d"));
        file_ = std::shared_ptr<io::File>{*files_.open("/d/pattern", io::OpenMode::create)};
        std::vector<std::uint8_t> bytes(251 * 400);
        for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = pattern(i);
        const ByteView view{bytes};
        EXPECT_TRUE(file_->write_at({&view, 1}, 0));
    }
    ~OutputTest() override {
        ::close(ends_[0]);
        ::close(ends_[1]);
    }
    void add_bytes(std::size_t n) {
        std::uint8_t* at = output_.buffer().extend(n);
        for (std::size_t i = 0; i < n; ++i) at[i] = pattern(added_++);
    }
    void add_slice(std::size_t n) {
        output_.add_slice(output_.buffer().size(), {.file = file_, .position = added_ % 251, .length = n, .warm = n});
        added_ += n;
    }
    bool flush() { return output_.flush(ends_[0], now_ms_) == Output::Progress::done; }
    void receive(std::size_t bytes_max) {
        std::vector<std::uint8_t> window(bytes_max);
        const ssize_t n = ::recv(ends_[1], window.data(), window.size(), 0);
        for (ssize_t i = 0; i < n; ++i) ASSERT_EQ(window[static_cast<std::size_t>(i)], pattern(received_++));
    }

    int ends_[2] = {};
    io::SimulatedFileSystem files_;
    std::shared_ptr<io::File> file_;
    Output output_;
    std::size_t added_ = 0;
    std::size_t received_ = 0;
    std::int64_t now_ms_ = 1000;
};

TEST_F(OutputTest, BytesAndSlicesLeaveInTheirOrderHoweverFullTheSocketIs) {
    for (int round = 0; round < 50; ++round) {
        add_bytes(static_cast<std::size_t>(round) * 31);
        add_slice(static_cast<std::size_t>(round) * 1999);
        flush();
        receive(20'011);
    }
    while (received_ < added_) {
        flush();
        receive(20'011);
    }
    EXPECT_TRUE(flush());
    EXPECT_TRUE(output_.empty());
}

TEST_F(OutputTest, WhatWasSentIsLetGoEvenWhereTheOutputIsNeverEmpty) {
    add_bytes(1'000'000);
    flush();
    std::size_t held_max = 0;
    for (int round = 0; round < 2000; ++round) {
        add_bytes(30'000);
        add_slice(2000);
        flush();
        receive(32'000);
        ASSERT_FALSE(output_.empty());
        held_max = std::max(held_max, output_.buffer().size());
    }
    EXPECT_LT(held_max, 4'000'000U);
    while (received_ < added_) {
        flush();
        receive(100'000);
    }
}

TEST_F(OutputTest, AnotherOutputComesBehindWithItsSlices) {
    add_bytes(10);
    Output other;
    std::swap(other, output_);
    add_bytes(5);
    add_slice(7);
    add_bytes(3);
    other.append(std::move(output_));
    output_ = std::move(other);
    EXPECT_EQ(output_.pending_bytes(), 25U);
    EXPECT_TRUE(flush());
    receive(100);
    EXPECT_EQ(received_, 25U);
}

TEST_F(OutputTest, WhatWasWarmWhenItWasPlannedLeavesWithoutAQuestion) {
    files_.set_resident(false);
    add_slice(5000);
    EXPECT_TRUE(flush());
    EXPECT_EQ(files_.counts().resident_questions, 0u);
}

TEST_F(OutputTest, WhatIsColdIsNotSentUntilItHasBeenRead) {
    files_.set_resident(false);
    add_bytes(10);
    output_.add_slice(output_.buffer().size(), {.file = file_, .position = added_ % 251, .length = 5000, .warm = 1000});
    added_ += 5000;
    EXPECT_EQ(output_.flush(ends_[0], now_ms_), Output::Progress::cold);
    const storage::FileSlice cold = output_.next_cold();
    EXPECT_EQ(cold.position, 10u + 1000u);
    EXPECT_EQ(cold.length, 4000u);
    output_.note_warm(now_ms_);
    EXPECT_TRUE(flush());
    receive(10'000);
    EXPECT_EQ(received_, 5010u);
}

TEST_F(OutputTest, AClientThatIsSlowLetsPagesGrowColdAgain) {
    add_slice(90'000);
    while (output_.flush(ends_[0], now_ms_) != Output::Progress::blocked) add_slice(90'000);
    files_.set_resident(false);
    receive(50'000);
    EXPECT_EQ(output_.flush(ends_[0], now_ms_ + Output::kWarmMs), Output::Progress::blocked) << "it was warm just now";
    receive(50'000);
    EXPECT_EQ(output_.flush(ends_[0], now_ms_ + Output::kWarmMs + 1), Output::Progress::cold);
}

}  // namespace
}  // namespace odr::server
