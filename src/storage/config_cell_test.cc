#include "storage/config_cell.h"

#include <gtest/gtest.h>

namespace odr::storage {
namespace {

std::shared_ptr<const config::LogConfig> with_segment_bytes(std::int32_t bytes) {
    config::LogConfig config;
    config.segment_bytes = bytes;
    return std::make_shared<const config::LogConfig>(config);
}

TEST(ConfigCellTest, WhatWasReadStaysGoodWhenTheConfigChanges) {
    ConfigCell cell;
    cell = with_segment_bytes(1000);
    const config::LogConfig* const before = cell.load();
    cell = with_segment_bytes(2000);
    EXPECT_EQ(before->segment_bytes, 1000);
    EXPECT_EQ(cell.load()->segment_bytes, 2000);
}

TEST(ConfigCellTest, SettingsThatComeBackAreKeptOnce) {
    ConfigCell cell;
    for (int i = 0; i < 100; ++i) cell = with_segment_bytes(1000 + i % 2);
    EXPECT_EQ(cell.load()->segment_bytes, 1001);
    EXPECT_EQ(cell.kept(), 2U);
}

}  // namespace
}  // namespace odr::storage
