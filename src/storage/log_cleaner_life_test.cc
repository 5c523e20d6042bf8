#include <atomic>
#include <cerrno>
#include <thread>

#include "storage/log_cleaner_test_support.h"

// What else happens to a log that the cleaner is at: it moves, is deleted, is truncated, or its disk is full.
namespace odr::storage::test {
namespace {

class CleanerLifeTest : public CleanerFixture {
protected:
    // The throttle lets nothing more through: the cleaning that begins stays under way.
    void clean_without_end() {
        LogCleanerConfig config;
        config.io_max_bytes_per_second = 1e-3;
        config.backoff_ms = 1;
        set_cleaner(system_clock(), config);
        cleaner->start();
        while (cleaner->figures(kMayBlock).max_dirty_percent == 0) std::this_thread::yield();
    }
    void end_throttle() {
        LogCleanerConfig config;
        config.backoff_ms = 1;
        cleaner->reconfigure(config);
    }
    // Does something once, in the midst of a cleaning.
    void amid_cleaning(std::function<void()> what) {
        files.set_modified([this, is_done = std::make_shared<bool>(false), what](const std::string&) -> std::int64_t {
            if (!std::exchange(*is_done, true)) what();
            return clock.now().raw();
        });
    }
    std::size_t count_of(const std::string& dir, std::string_view part) {
        const auto entries = files.list(dir);
        if (!entries) return 0;
        return static_cast<std::size_t>(
            std::ranges::count_if(*entries, [&](const auto& each) { return each.name.contains(part); }));
    }
};

// --- moves

TEST_F(CleanerLifeTest, AMoveEndsTheCleaningUnderWayAndKeepsTheCleanerAwayUntilItIsOver) {
    const auto log = create("orders");
    const std::string from = log->parent_directory();
    fill(*log, 4);
    fill(*log, 4);
    clean_without_end();
    accepts = false;
    ASSERT_TRUE(mover->alter(kMayBlock, name_of("orders"), other(from)));  // returns, though the throttle never ends
    end_throttle();
    cleaner->stop();
    EXPECT_EQ(cleaner->figures(kMayBlock).cleanings, 0U);
    set_cleaner(clock, {});
    EXPECT_FALSE(cleaner->clean_once(kMayBlock));
    EXPECT_EQ(log->segment_count(), 3U);
    accepts = true;
    move_on();
    EXPECT_EQ(log->parent_directory(), other(from));
    ASSERT_TRUE(log->roll(kMayBlock, clock.now()));
    EXPECT_TRUE(cleaner->clean_once(kMayBlock));
    EXPECT_EQ(checkpoint(other(from), "orders"), Offset{8});
    EXPECT_EQ(checkpoint(from, "orders"), std::nullopt);
}

TEST_F(CleanerLifeTest, TheCleanerKeepsAwayFromAMoveThatGoesOnAfterAStart) {
    const auto name = name_of("orders");
    std::string from;
    {
        const auto log = create("orders");
        from = log->parent_directory();
        fill(*log, 4);
        accepts = false;
        ASSERT_TRUE(mover->alter(kMayBlock, name, other(from)));
        manager->stop(kMayBlock, 1);
    }
    reopen();
    ASSERT_NE(manager->future_of(name), nullptr);
    EXPECT_FALSE(cleaner->clean_once(kMayBlock));
    accepts = true;
    move_on();
    EXPECT_EQ(manager->get(name)->parent_directory(), other(from));
    ASSERT_TRUE(manager->get(name)->roll(kMayBlock, clock.now()));
    EXPECT_TRUE(cleaner->clean_once(kMayBlock));
}

TEST_F(CleanerLifeTest, AMoveThatIsTakenBackOrLosesItsDiskLetsTheCleanerGoOn) {
    const auto log = create("orders");
    const std::string from = log->parent_directory();
    fill(*log, 4);
    accepts = false;
    ASSERT_TRUE(mover->alter(kMayBlock, name_of("orders"), other(from)));
    EXPECT_FALSE(cleaner->clean_once(kMayBlock));
    ASSERT_TRUE(mover->alter(kMayBlock, name_of("orders"), from));
    EXPECT_TRUE(cleaner->clean_once(kMayBlock));
    fill(*log, 4);
    ASSERT_TRUE(mover->alter(kMayBlock, name_of("orders"), other(from)));
    EXPECT_FALSE(cleaner->clean_once(kMayBlock));
    manager->set_offline(other(from), {ErrorCode::kafka_storage_error, EIO, "test"});
    manager->retire_offline_directory(other(from));
    EXPECT_TRUE(cleaner->clean_once(kMayBlock));
    EXPECT_EQ(checkpoint(from, "orders"), Offset{8});
}

TEST_F(CleanerLifeTest, WhatWasCleanBeforeAMoveIsCleanAfterIt) {
    const auto log = create("orders");
    const std::string from = log->parent_directory();
    fill(*log, 4);
    EXPECT_TRUE(cleaner->clean_once(kMayBlock));
    ASSERT_TRUE(mover->alter(kMayBlock, name_of("orders"), other(from)));
    move_on();
    ASSERT_EQ(log->parent_directory(), other(from));
    EXPECT_EQ(checkpoint(other(from), "orders"), Offset{4});
    EXPECT_EQ(checkpoint(from, "orders"), std::nullopt);
    EXPECT_FALSE(cleaner->clean_once(kMayBlock));
}

TEST_F(CleanerLifeTest, WhatADirectorySaidOfALogThatWasThereBeforeIsNotBelievedWhenItComesBack) {
    const auto log = create("orders");
    const std::string from = log->parent_directory();
    fill(*log, 4);
    manager->cleaner_checkpoints().update(kMayBlock, other(from), name_of("orders"), Offset{4});
    ASSERT_TRUE(mover->alter(kMayBlock, name_of("orders"), other(from)));
    move_on();
    ASSERT_EQ(log->parent_directory(), other(from));
    EXPECT_EQ(checkpoint(other(from), "orders"), std::nullopt);
    ASSERT_TRUE(log->roll(kMayBlock, clock.now()));
    EXPECT_TRUE(cleaner->clean_once(kMayBlock));
    EXPECT_EQ(checkpoint(other(from), "orders"), Offset{4});
}

TEST_F(CleanerLifeTest, AStartDropsWhatADirectorySaysOfALogThatIsInAnother) {
    const std::string from = create("orders")->parent_directory();
    manager->cleaner_checkpoints().update(kMayBlock, from, name_of("orders"), Offset{0});
    manager->cleaner_checkpoints().update(kMayBlock, other(from), name_of("orders"), Offset{4});
    manager->stop(kMayBlock, 1);
    reopen();
    EXPECT_EQ(manager->cleaner_checkpoints().find(from, name_of("orders")), Offset{0});
    EXPECT_EQ(manager->cleaner_checkpoints().find(other(from), name_of("orders")), std::nullopt);
}

// --- deletion and truncation

TEST_F(CleanerLifeTest, ATopicDeletedAmidItsCleaningLeavesNothingToANewOneOfItsName) {
    auto log = create("orders");
    const std::string dir = log->parent_directory();
    fill(*log, 4);
    amid_cleaning([&] { EXPECT_TRUE(manager->delete_log(kMayBlock, name_of("orders"))); });
    cleaner->clean_once(kMayBlock);
    EXPECT_EQ(cleaner->figures(kMayBlock).cleanings, 0U);
    EXPECT_EQ(checkpoint(dir, "orders"), std::nullopt);
    EXPECT_FALSE(cleaner->is_uncleanable(name_of("orders")));
    EXPECT_FALSE(is_offline(dir));
    log = create("orders");
    fill(*log, 6);
    EXPECT_TRUE(cleaner->clean_once(kMayBlock));
    EXPECT_EQ(log->segment_count(), 2U);
    EXPECT_EQ(checkpoint(log->parent_directory(), "orders"), Offset{6});
    clock.advance_ms(60'001);
    while (manager->remove_deleted_files(kMayBlock, clock.now()) != 0) {
    }
    EXPECT_EQ(count_of(dir, "-delete"), 0U);
}

TEST_F(CleanerLifeTest, ACheckpointThatOutlivedItsTopicSaysNothingOfANewOne) {
    const std::string text = encode_offset_checkpoint({{name_of("orders"), Offset{3}}});
    files.set_contents("/a/cleaner-offset-checkpoint", text);
    files.set_contents("/b/cleaner-offset-checkpoint", text);
    manager->stop(kMayBlock, 1);
    reopen();
    const auto log = create("orders");
    EXPECT_EQ(manager->cleaner_checkpoints().find(log->parent_directory(), name_of("orders")), std::nullopt);
}

TEST_F(CleanerLifeTest, ALogTruncatedAmidItsCleaningIsCleanNoFurtherThanItsEnd) {
    const auto log = create("orders");
    const std::string dir = log->parent_directory();
    fill(*log, 4);
    EXPECT_TRUE(cleaner->clean_once(kMayBlock));
    fill(*log, 4);
    amid_cleaning([&] { EXPECT_TRUE(log->truncate_to(kMayBlock, Offset{2})); });
    cleaner->clean_once(kMayBlock);
    EXPECT_EQ(cleaner->figures(kMayBlock).cleanings, 1U) << "the second was given up";
    EXPECT_EQ(checkpoint(dir, "orders"), Offset{2});
    EXPECT_EQ(log->log_end_offset(), Offset{2});
    EXPECT_EQ(count_of(log->directory(), ".cleaned"), 0U);
    fill(*log, 4);
    fill(*log, 4);
    EXPECT_TRUE(cleaner->clean_once(kMayBlock));
    EXPECT_EQ(checkpoint(dir, "orders"), Offset{10});
    EXPECT_FALSE(is_offline(dir));
}

// --- the disk

TEST_F(CleanerLifeTest, ACheckpointThatFindsNoRoomIsWrittenAtALaterTurnAndItsDirectoryStays) {
    for (const int full : {ENOSPC, EDQUOT}) {
        const auto log = create(full == ENOSPC ? "first" : "second");
        const std::string topic = log->topic_partition().topic;
        fill(*log, 4);
        files.fail_writes(1, full);
        manager->cleaner_checkpoints().update(kMayBlock, log->parent_directory(), name_of(topic), Offset{4});
        EXPECT_FALSE(is_offline(log->parent_directory()));
        EXPECT_EQ(checkpoint(log->parent_directory(), topic), std::nullopt);
        EXPECT_FALSE(cleaner->clean_once(kMayBlock)) << "what is clean is known";
        EXPECT_EQ(checkpoint(log->parent_directory(), topic), Offset{4});
    }
}

TEST_F(CleanerLifeTest, ADiskThatFailsAtTheCheckpointTakesItsDirectoryOfflineAloneWhereverItFails) {
    for (const int broken : {EIO, EROFS}) {
        reopen();
        const auto log = create("orders");
        const std::string dir = log->parent_directory();
        fill(*log, 2);
        files.fail_writes(1, broken);
        manager->cleaner_checkpoints().update(kMayBlock, dir, name_of("orders"), Offset{2});
        EXPECT_TRUE(is_offline(dir));
        EXPECT_FALSE(is_offline(other(dir)));
        EXPECT_FALSE(cleaner->clean_once(kMayBlock));
        ASSERT_TRUE(manager->delete_log(kMayBlock, name_of("orders")));
    }
}

TEST_F(CleanerLifeTest, AFullDiskAmidACleaningIsTriedAgainAndTakesNothingOffline) {
    const auto log = create("orders");
    fill(*log, 40);
    ASSERT_TRUE(log->flush(kMayBlock));
    manager->checkpoint_all(kMayBlock);
    amid_cleaning([&] { files.fail_writes(1, ENOSPC); });
    cleaner->clean_once(kMayBlock);
    EXPECT_EQ(cleaner->figures(kMayBlock).cleanings, 0U);
    EXPECT_FALSE(is_offline(log->parent_directory()));
    EXPECT_FALSE(cleaner->is_uncleanable(name_of("orders")));
    EXPECT_TRUE(cleaner->clean_once(kMayBlock));
    EXPECT_EQ(cleaner->figures(kMayBlock).cleanings, 1U);
}

// --- damage

// A bit in a batch that stays whole, or in one that goes: either way nothing of it is written elsewhere.
TEST_F(CleanerLifeTest, AFlippedBitAnywhereIsNeverSpreadAndTheOtherLogsAreCleaned) {
    SeededRandom bits{7};
    for (int round = 0; round < 200; ++round) {
        const std::string topic = "t" + std::to_string(round);
        const auto log = create(topic);
        fill(*log, 3, "kept");
        fill(*log, 3, "other");
        if (round % 2 == 0) {  // then half of it is the clean part, which is not indexed again
            while (cleaner->clean_once(kMayBlock)) {
            }
            fill(*log, 3, "other");
        }
        const std::string path = log->directory() + "/00000000000000000000.log";
        std::string bytes = files.contents(path);
        const std::size_t batch = bytes.size() / (round % 2 == 0 ? 2 : 3);
        // Of what the CRC covers, and the CRC; before it stand offset, length, epoch and magic.
        const std::size_t first = bits.next() % (bytes.size() / batch) * batch;
        const std::size_t at = first + 17 + bits.next() % 40;
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << bits.next() % 8));
        files.set_contents(path, bytes);
        const auto sound = create("sound" + std::to_string(round));
        fill(*sound, 2);
        while (cleaner->clean_once(kMayBlock)) {
        }
        EXPECT_TRUE(cleaner->is_uncleanable(name_of(topic))) << "round " << round << " at byte " << at;
        EXPECT_EQ(files.contents(path), bytes) << "round " << round;
        EXPECT_EQ(checkpoint(sound->parent_directory(), sound->topic_partition().topic), Offset{2});
        EXPECT_EQ(count_of(log->directory(), ".cleaned"), 0U);
        EXPECT_FALSE(is_offline(log->parent_directory()));
    }
    const auto figures = cleaner->figures(kMayBlock);
    int uncleanable = 0;
    for (const auto& [path, directory] : figures.directories) uncleanable += directory.uncleanable_partitions;
    EXPECT_EQ(uncleanable, 200);
}

// Offsets are outside the CRC: one that is wrong would make the cleaner take the wrong record for the latest.
TEST_F(CleanerLifeTest, OffsetsThatAWrongBitMadeGoBackOrLeaveTheSegmentEndTheCleaning) {
    for (const int byte : {3, 6, 7}) {
        for (const int batch : {0, 1, 2}) {
            const std::string topic = "t" + std::to_string(byte) + "-" + std::to_string(batch);
            const auto log = create(topic);
            fill(*log, 3);
            fill(*log, 3);
            const std::string path = log->directory() + "/00000000000000000000.log";
            std::string bytes = files.contents(path);
            const std::size_t at = bytes.size() / 3 * static_cast<std::size_t>(batch) + static_cast<std::size_t>(byte);
            bytes[at] = static_cast<char>(bytes[at] ^ 4);
            files.set_contents(path, bytes);
            while (cleaner->clean_once(kMayBlock)) {
            }
            EXPECT_TRUE(cleaner->is_uncleanable(name_of(topic))) << topic;
            EXPECT_EQ(files.contents(path), bytes) << topic;
        }
    }
}

}  // namespace
}  // namespace odr::storage::test
