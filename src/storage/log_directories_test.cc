#include <algorithm>
#include <cerrno>
#include <map>
#include <set>

#include "storage/cleaner_checkpoints.h"
#include "storage/log_manager.h"
#include "storage/log_mover.h"
#include "storage/log_test_support.h"

namespace odr::storage::test {
namespace {

// Two log directories, what stands in them, and what the metadata say.
struct Directories {
    Directories() { start(); }
    void start() {
        mover.reset();
        manager.reset();
        LogManagerConfig options;
        options.log_dirs = {"/a", "/b"};
        options.node_id = BrokerId{1};
        options.cluster_id = "c";
        options.log_initial_task_delay_ms = 0;
        options.open_files_max = open_files_max;
        std::string reason;
        auto opened = LogManager::open(kMayBlock, files, clock, random, options, reason);
        ASSERT_TRUE(opened.has_value()) << reason;
        manager = std::move(*opened);
        manager->on_offline([this](const LogDirInfo& info) { failed.push_back(info.path); });
        const auto directory_of = [this](const TopicPartition& partition) -> std::optional<Uuid> {
            const auto found = metadata.find(partition);
            return found == metadata.end() ? std::nullopt : std::optional{found->second};
        };
        manager->set_directory_of(directory_of);
        ASSERT_TRUE(manager->load_logs(kMayBlock, [&](const std::string&) { return settings; }, {}));
        mover = std::make_unique<LogMover>(*manager, clock, directory_of,
                                           [this](const TopicPartition& partition, const Uuid&, const Uuid& directory) {
                                               proposals.emplace_back(partition, directory);
                                           });
    }
    Uuid id_of(const std::string& path) const {
        for (const LogDirInfo& info : manager->log_dirs()) {
            if (info.path == path) return info.directory_id;
        }
        return {};
    }
    std::shared_ptr<Log> create(int partition, std::optional<Uuid> directory = {}) {
        auto made = manager->get_or_create(kMayBlock, name_of(partition), topic_id, settings, directory);
        return made ? *made : nullptr;
    }
    static TopicPartition name_of(int partition) { return {"orders", PartitionIndex{partition}}; }
    std::string where(int partition) const {
        const auto log = manager->get(name_of(partition));
        return log == nullptr ? "nowhere" : log->parent_directory();
    }
    // Appends batches of three records of this producer, and commits them.
    void append(Log& log, int batches, std::size_t value_bytes = 100) {
        for (int i = 0; i < batches; ++i) {
            auto bytes = make_batch({.records = 3,
                                     .timestamp = clock.now().raw() + sequence,
                                     .value_bytes = value_bytes,
                                     .producer = ProducerId{7},
                                     .epoch = ProducerEpoch{0},
                                     .sequence = std::exchange(sequence, sequence + 3)});
            std::vector<PendingAppend> pending{{.batch = *record::MutableRecordBatch::parse(bytes)}};
            AppendDemand demand;
            demand.add(pending.front().batch);
            ASSERT_TRUE(log.prepare_append(kMayBlock, demand, clock.now()));
            const auto lock = log.lock_for_append();
            log.append(lock, pending, LeaderEpoch{epoch}, clock.now());
            ASSERT_TRUE(pending.front().result.has_value());
        }
        log.set_high_watermark(log.log_end_offset());
    }
    static std::vector<std::uint8_t> all_of(const Log& log) {
        std::vector<std::uint8_t> out;
        Offset from = log.log_start_offset();
        while (from < log.log_end_offset()) {
            const auto plan =
                log.read(kMayBlock, {.from = from, .bytes_max = 1 << 20, .upper_bound = log.log_end_offset()});
            const auto bytes = LogFixture::bytes_of(plan->slice);
            record::BatchIterator walk{bytes};
            for (auto batch = walk.next(); batch && *batch; batch = walk.next()) {
                out.insert(out.end(), (*batch)->bytes().begin(), (*batch)->bytes().end());
                from = (*batch)->next_offset();
            }
        }
        return out;
    }
    void turn(int times = 1) {
        for (int i = 0; i < times; ++i) {
            clock.advance_ms(mover->run_once(kMayBlock));
            for (const auto& [partition, directory] : proposals) {
                if (accepts) metadata[partition] = directory;
            }
            if (accepts) proposals.clear();
        }
    }
    std::size_t folders(const std::string& directory, std::string_view ending) {
        const auto entries = files.list(directory);
        return static_cast<std::size_t>(
            std::ranges::count_if(*entries, [&](const auto& entry) { return entry.name.ends_with(ending); }));
    }

    std::size_t open_files_max = LogManagerConfig{}.open_files_max;
    io::SimulatedFileSystem files;
    ManualClock clock;
    SeededRandom random{1};
    std::shared_ptr<config::LogConfig> settings = std::make_shared<config::LogConfig>();
    const Uuid topic_id = Uuid::parse("UJNNMwN4TqW2YAvEAqcFHw").value();
    std::map<TopicPartition, Uuid> metadata;
    std::vector<std::pair<TopicPartition, Uuid>> proposals;
    bool accepts = true;
    std::vector<std::string> failed;
    std::int32_t sequence = 0;
    std::int32_t epoch = 0;
    std::unique_ptr<LogManager> manager;
    std::unique_ptr<LogMover> mover;
};

class DirectoriesTest : public testing::Test, protected Directories {};

// --- where new logs go

TEST_F(DirectoriesTest, ANewLogGoesWhereTheMetadataThenTheWishThenTheSmallestCountSay) {
    create(0, id_of("/b"));
    EXPECT_EQ(where(0), "/b");
    create(1);
    EXPECT_EQ(where(1), "/a");
    manager->prefer_directory(name_of(2), "/b");
    create(2, id_of("/a"));
    EXPECT_EQ(where(2), "/b");
    ASSERT_TRUE(mover->alter(kMayBlock, name_of(2), "/a"));  // the future log counts for /a
    create(3);
    EXPECT_EQ(where(3), "/a");
}

TEST_F(DirectoriesTest, ACordonedDirectoryGetsNoNewLogButKeepsItsOwn) {
    create(0, id_of("/a"));
    manager->set_cordoned({"/a"});
    for (int i = 1; i < 4; ++i) create(i);
    EXPECT_EQ(where(1) + where(2) + where(3), "/b/b/b");
    EXPECT_EQ(mover->alter(kMayBlock, name_of(1), "/a").error().code, ErrorCode::invalid_replica_assignment);
    append(*manager->get(name_of(0)), 1);
    // What the metadata have there already is there.
    create(9, id_of("/a"));
    EXPECT_EQ(where(9), "/a");
    manager->set_cordoned({"*"});
    EXPECT_EQ(create(10), nullptr);
    manager->set_cordoned({});
    EXPECT_NE(create(10), nullptr);
}

// --- a directory that fails

TEST_F(DirectoriesTest, AFailedDirectoryGoesAloneWithItsLogs) {
    const auto in_a = create(0, id_of("/a"));
    const auto in_b = create(1, id_of("/b"));
    append(*in_a, 1);
    append(*in_b, 1);
    files.fail_syncs(1, EIO);
    EXPECT_FALSE(in_a->flush(kMayBlock).has_value());
    EXPECT_EQ(failed, std::vector<std::string>{"/a"});
    EXPECT_EQ(manager->retire_offline_directory("/a"), std::vector{name_of(0)});
    EXPECT_EQ(where(0), "nowhere");
    append(*in_b, 1);
    ASSERT_TRUE(in_b->flush(kMayBlock));
    manager->run_once(kMayBlock, clock.now());
    // No empty log takes the place of what is in /a; a new one may still come.
    EXPECT_EQ(create(0, id_of("/a")), nullptr);
    EXPECT_NE(create(5), nullptr);
    EXPECT_EQ(where(5), "/b");
    manager->stop(kMayBlock, 1);
    EXPECT_FALSE(files.exists("/a/.kafka_cleanshutdown"));
    EXPECT_TRUE(files.exists("/b/.kafka_cleanshutdown"));
    // And a restart brings it back.
    start();
    EXPECT_EQ(where(0), "/a");
    EXPECT_EQ(where(1), "/b");
}

TEST_F(DirectoriesTest, AFullDiskTakesNothingOffline) {
    const auto log = create(0);
    append(*log, 1);
    files.fail_writes(1, ENOSPC);
    manager->checkpoint_all(kMayBlock);
    EXPECT_TRUE(failed.empty());
    files.fail_writes(1, EROFS);
    manager->checkpoint_all(kMayBlock);
    EXPECT_EQ(failed.size(), 1U);
}

// --- moves

TEST_F(DirectoriesTest, ALogMovesWithEverythingAndReadersNeverNotice) {
    settings->segment_bytes = 2'000;
    const auto log = create(0, id_of("/a"));
    append(*log, 30);
    epoch = 4;
    append(*log, 3);
    const auto before = all_of(*log);
    const auto plan =
        log->read(kMayBlock, {.from = Offset{30}, .bytes_max = 500, .upper_bound = log->log_end_offset()});
    const auto slice_before = LogFixture::bytes_of(plan->slice);
    manager->cleaner_checkpoints().update(kMayBlock, "/a", name_of(0), Offset{12});
    ASSERT_TRUE(mover->alter(kMayBlock, name_of(0), "/b"));
    EXPECT_EQ(folders("/b", "-future"), 1U);
    turn(5);
    EXPECT_EQ(where(0), "/b");
    EXPECT_EQ(manager->get(name_of(0)), log) << "who holds the log goes on with it";
    EXPECT_EQ(all_of(*log), before);
    EXPECT_EQ(log->latest_epoch(), LeaderEpoch{4});
    EXPECT_EQ(LogFixture::bytes_of(plan->slice), slice_before);
    EXPECT_EQ(manager->cleaner_checkpoints().find("/b", name_of(0)), Offset{12}) << "the cleaner goes on where it was";
    EXPECT_EQ(manager->cleaner_checkpoints().find("/a", name_of(0)), std::nullopt);
    EXPECT_EQ(folders("/b", "-future") + folders("/a", "orders-0"), 0U);
    // The old files go in the background, and the log goes on in the new place.
    clock.advance_ms(60'000);
    manager->remove_deleted_files(kMayBlock, clock.now());
    EXPECT_EQ(folders("/a", "-delete"), 0U);
    EXPECT_EQ(all_of(*log), before);
    append(*log, 5);
    const auto after = all_of(*log);
    manager->stop(kMayBlock, 1);
    start();
    EXPECT_EQ(where(0), "/b");
    EXPECT_EQ(all_of(*manager->get(name_of(0))), after);
    // Duplicates are still known.
    sequence -= 3;
    append(*manager->get(name_of(0)), 1);
    EXPECT_EQ(all_of(*manager->get(name_of(0))), after);
}

TEST_F(DirectoriesTest, ALogMovesToAndFroWhereEachDirectoryMayHoldOneOpen) {
    open_files_max = 4;
    start();
    const auto log = create(0, id_of("/a"));
    append(*log, 10);
    for (const char* target : {"/b", "/a", "/b", "/a"}) {
        ASSERT_TRUE(mover->alter(kMayBlock, name_of(0), target));
        // The move's last step opens the future log where the directory knows this one from before.
        for (int i = 0; i < 10 && where(0) != target; ++i) {
            append(*log, 1);
            turn();
            manager->run_once(kMayBlock, clock.now());
        }
        EXPECT_EQ(where(0), target);
        EXPECT_TRUE(log->holds_active_open());
        turn();  // the mover forgets a move that is over
    }
    const auto before = all_of(*log);
    // What changed after a move is seen to in the new place.
    ASSERT_TRUE(log->flush(kMayBlock));
    clock.advance_ms(120'000);
    manager->run_once(kMayBlock, clock.now());
    EXPECT_FALSE(log->holds_active_open());
    manager->stop(kMayBlock, 1);
    start();
    EXPECT_EQ(all_of(*manager->get(name_of(0))), before);
}

TEST_F(DirectoriesTest, WhatIsAppendedDuringTheMoveIsThereAfterIt) {
    const auto log = create(0, id_of("/a"));
    append(*log, 10);
    accepts = false;
    ASSERT_TRUE(mover->alter(kMayBlock, name_of(0), "/b"));
    for (int i = 0; i < 10; ++i) {
        append(*log, 1);
        turn();
        EXPECT_EQ(where(0), "/a") << "not before the controller has noted it";
    }
    accepts = true;
    turn(30);
    EXPECT_EQ(where(0), "/b");
    EXPECT_EQ(log->log_end_offset(), Offset{60});
}

TEST_F(DirectoriesTest, TheRateOfAMoveIsKept) {
    const auto log = create(0, id_of("/a"));
    append(*log, 100, 10'000);
    const auto bytes = static_cast<std::int64_t>(log->size_in_bytes());
    settings->segment_bytes = 100'000;  // the chunks are no larger than a segment
    mover->set_rate(bytes / 4);
    mover->run_once(kMayBlock);
    ASSERT_TRUE(mover->alter(kMayBlock, name_of(0), "/b"));
    const std::int64_t begun = clock.monotonic_ms();
    for (int i = 0; i < 10'000 && where(0) == "/a"; ++i) turn();
    EXPECT_EQ(where(0), "/b");
    // A second's worth may be taken at once.
    EXPECT_GE(clock.monotonic_ms() - begun, 2'500);
    EXPECT_LE(clock.monotonic_ms() - begun, 6'500);
}

TEST_F(DirectoriesTest, AMoveGoesOnAfterARestart) {
    settings->segment_bytes = 100'000;
    const auto bytes = [&] {
        const auto log = create(0, id_of("/a"));
        append(*log, 100, 10'000);
        return all_of(*log);
    }();
    mover->set_rate(1'000'000);
    mover->run_once(kMayBlock);
    ASSERT_TRUE(mover->alter(kMayBlock, name_of(0), "/b"));
    turn();
    const Offset copied = manager->future_of(name_of(0))->log_end_offset();
    EXPECT_GT(copied, Offset{0});
    EXPECT_LT(copied, manager->get(name_of(0))->log_end_offset());
    manager->stop(kMayBlock, 1);
    start();
    ASSERT_NE(manager->future_of(name_of(0)), nullptr);
    EXPECT_EQ(manager->future_of(name_of(0))->log_end_offset(), copied);
    turn(20);
    EXPECT_EQ(where(0), "/b");
    EXPECT_EQ(all_of(*manager->get(name_of(0))), bytes);
}

TEST(DirectoriesSimulation, APowerLossAtAnyPointOfAMoveLosesNothingThatWasFlushed) {
    std::set<std::string> ends;
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        Directories at;
        const TopicPartition name = at.name_of(0);
        at.settings->segment_bytes = 3'000;
        const auto log = at.create(0, at.id_of("/a"));
        at.metadata[name] = at.id_of("/a");
        at.append(*log, 20);
        ASSERT_TRUE(log->flush(kMayBlock));
        at.manager->checkpoint_all(kMayBlock);
        const auto bytes = Directories::all_of(*log);
        at.mover->set_rate(3'000);
        at.mover->run_once(kMayBlock);
        ASSERT_TRUE(at.mover->alter(kMayBlock, name, "/b"));
        at.turn(static_cast<int>(seed));
        at.files.crash(seed);
        at.start();
        ASSERT_NE(at.manager->get(name), nullptr) << "seed " << seed;
        EXPECT_EQ(Directories::all_of(*at.manager->get(name)), bytes) << "seed " << seed << " in " << at.where(0);
        ends.insert(at.where(0));
    }
    EXPECT_EQ(ends.size(), 2U) << "the crashes came before and after the change of folders";
}

// --- what happens to the log while it moves

// What the future log has is a prefix of the log, again.
struct Aligning {
    const char* name;
    void (*happens)(Directories&, Log&);
};

TEST(DirectoriesAlignment, TheFutureLogFollowsWhateverHappensToTheLogMeanwhile) {
    const Aligning cases[] = {
        {"truncated below what was copied, and written anew",
         [](Directories& at, Log& log) {
             ASSERT_TRUE(log.truncate_to(kMayBlock, Offset{30}));
             at.sequence = 30;
             at.epoch = 7;
             at.append(log, 20);
         }},
        {"truncated below what was copied, without an epoch that tells",
         [](Directories&, Log& log) { ASSERT_TRUE(log.truncate_to(kMayBlock, Offset{30})); }},
        {"another leader's records at the same offsets",
         [](Directories& at, Log& log) {
             ASSERT_TRUE(log.truncate_to(kMayBlock, Offset{15}));
             at.sequence = 15;
             at.epoch = 9;
             at.append(log, 60);
         }},
        {"records deleted beyond what was copied",
         [](Directories& at, Log& log) {
             at.append(log, 40);
             ASSERT_TRUE(log.advance_log_start_offset(log.log_end_offset()));
             at.append(log, 4);
         }},
        {"begun anew at a later offset",
         [](Directories& at, Log& log) {
             ASSERT_TRUE(log.truncate_fully_and_start_at(kMayBlock, Offset{500}));
             at.epoch = 11;
             at.append(log, 5);
         }},
    };
    for (const Aligning& each : cases) {
        SCOPED_TRACE(each.name);
        Directories at;
        at.settings->segment_bytes = 3'000;
        const auto log = at.create(0, at.id_of("/a"));
        at.append(*log, 20);
        at.epoch = 5;
        at.append(*log, 20);
        at.accepts = false;
        ASSERT_TRUE(at.mover->alter(kMayBlock, at.name_of(0), "/b"));
        at.turn(5);
        ASSERT_EQ(at.manager->future_of(at.name_of(0))->log_end_offset(), log->log_end_offset());
        each.happens(at, *log);
        if (testing::Test::HasFatalFailure()) return;
        at.turn(10);
        const auto future = at.manager->future_of(at.name_of(0));
        ASSERT_NE(future, nullptr);
        EXPECT_EQ(future->log_end_offset(), log->log_end_offset());
        EXPECT_EQ(future->latest_epoch(), log->latest_epoch());
        EXPECT_EQ(future->log_start_offset(), log->log_start_offset());
        EXPECT_EQ(Directories::all_of(*future), Directories::all_of(*log));
        at.accepts = true;
        const auto before = Directories::all_of(*log);
        at.turn(20);
        EXPECT_EQ(at.where(0), "/b");
        EXPECT_EQ(Directories::all_of(*log), before);
    }
}

TEST_F(DirectoriesTest, RetentionLeavesALogAloneWhileItMoves) {
    settings->segment_bytes = 1'000;
    settings->retention_bytes = 0;
    const auto log = create(0, id_of("/a"));
    append(*log, 10);
    const auto other = create(1, id_of("/a"));
    append(*other, 10);
    accepts = false;
    ASSERT_TRUE(mover->alter(kMayBlock, name_of(0), "/b"));
    turn(10);
    const auto future = manager->future_of(name_of(0));
    const std::size_t segments = log->segment_count();
    ASSERT_GT(segments, 2U);
    manager->run_once(kMayBlock, clock.now());
    EXPECT_LE(other->segment_count(), 2U) << "what does not move is deleted from";
    EXPECT_EQ(log->segment_count(), segments);
    EXPECT_EQ(future->log_start_offset(), Offset{0});
    accepts = true;
    for (int i = 0; i < 30 && where(0) == "/a"; ++i) turn();
    ASSERT_EQ(where(0), "/b");
    clock.advance_ms(300'000);
    manager->run_once(kMayBlock, clock.now());
    EXPECT_LE(log->segment_count(), 2U);
}

TEST_F(DirectoriesTest, AMoveRightAfterAnotherAsksTheControllerAtOnce) {
    const auto log = create(0, id_of("/a"));
    append(*log, 3);
    accepts = false;
    ASSERT_TRUE(mover->alter(kMayBlock, name_of(0), "/b"));
    mover->run_once(kMayBlock);
    mover->run_once(kMayBlock);
    ASSERT_EQ(proposals.size(), 1U) << "once a second, not at each turn";
    metadata[name_of(0)] = id_of("/b");
    mover->run_once(kMayBlock);
    ASSERT_EQ(where(0), "/b");
    ASSERT_TRUE(mover->alter(kMayBlock, name_of(0), "/a"));
    mover->run_once(kMayBlock);
    mover->run_once(kMayBlock);
    ASSERT_EQ(proposals.size(), 2U);
    EXPECT_EQ(proposals.back(), (std::pair{name_of(0), id_of("/a")}));
    // Nor does a move that was given up hold up the next.
    ASSERT_TRUE(mover->alter(kMayBlock, name_of(0), "/b"));
    ASSERT_TRUE(mover->alter(kMayBlock, name_of(0), "/a"));
    proposals.clear();
    mover->run_once(kMayBlock);
    mover->run_once(kMayBlock);
    EXPECT_LE(proposals.size(), 1U);
}

TEST_F(DirectoriesTest, AnotherWishEndsAMoveAndTheDirectoryItIsInCancelsIt) {
    const auto log = create(0, id_of("/a"));
    metadata[name_of(0)] = id_of("/a");
    append(*log, 3);
    accepts = false;
    ASSERT_TRUE(mover->alter(kMayBlock, name_of(0), "/b"));
    ASSERT_TRUE(mover->alter(kMayBlock, name_of(0), "/b")) << "asked twice";
    EXPECT_EQ(manager->moving().size(), 1U);
    metadata[name_of(0)] = id_of("/b");  // the controller has noted it already
    ASSERT_TRUE(mover->alter(kMayBlock, name_of(0), "/a"));
    EXPECT_TRUE(manager->moving().empty());
    EXPECT_EQ(folders("/b", "-future"), 0U);
    EXPECT_EQ(proposals.back(), (std::pair{name_of(0), id_of("/a")})) << "and is told that it stays";
    turn(3);
    EXPECT_EQ(where(0), "/a");
}

TEST_F(DirectoriesTest, WishesThatCannotBeGrantedAreRefusedAsInKafka) {
    create(0, id_of("/a"));
    EXPECT_EQ(mover->alter(kMayBlock, name_of(0), "/c").error().code, ErrorCode::log_dir_not_found);
    EXPECT_EQ(mover->alter(kMayBlock, name_of(7), "/b").error().code, ErrorCode::replica_not_available);
    create(7);
    EXPECT_EQ(where(7), "/b") << "the wish was remembered";
    const TopicPartition long_name{std::string(240, 't'), PartitionIndex{0}};
    EXPECT_EQ(mover->alter(kMayBlock, long_name, "/b").error().code, ErrorCode::invalid_topic_exception);
    manager->set_offline("/b", {ErrorCode::kafka_storage_error, EIO, "test"});
    EXPECT_EQ(mover->alter(kMayBlock, name_of(0), "/b").error().code, ErrorCode::kafka_storage_error);
}

TEST_F(DirectoriesTest, ABatchThatIsBrokenIsNotCopied) {
    const auto log = create(0, id_of("/a"));
    append(*log, 3);
    const std::string path = "/a/orders-0/00000000000000000000.log";
    std::string bytes = files.contents(path);
    bytes[bytes.size() - 10] ^= 1;
    files.set_contents(path, bytes);
    ASSERT_TRUE(mover->alter(kMayBlock, name_of(0), "/b"));
    turn(10);
    EXPECT_EQ(where(0), "/a");
    EXPECT_EQ(manager->future_of(name_of(0))->log_end_offset(), Offset{0});
}

TEST_F(DirectoriesTest, DeletedRecordsAreNotCopiedAndTheLogStartGoesAlong) {
    const auto log = create(0, id_of("/a"));
    append(*log, 10);
    ASSERT_TRUE(log->advance_log_start_offset(Offset{7}));  // within the third batch
    ASSERT_TRUE(mover->alter(kMayBlock, name_of(0), "/b"));
    turn(5);
    EXPECT_EQ(where(0), "/b");
    EXPECT_EQ(log->log_start_offset(), Offset{7});
    EXPECT_EQ(log->first_segment_offset(), Offset{6});
    manager->stop(kMayBlock, 1);
    start();
    EXPECT_EQ(manager->get(name_of(0))->log_start_offset(), Offset{7});
}

TEST_F(DirectoriesTest, ADeletedTopicTakesItsFutureLogAlong) {
    create(0, id_of("/a"));
    ASSERT_TRUE(mover->alter(kMayBlock, name_of(0), "/b"));
    ASSERT_TRUE(manager->delete_log(kMayBlock, name_of(0)));
    EXPECT_EQ(folders("/a", "-delete") + folders("/b", "-delete"), 2U);
    turn(2);
    EXPECT_TRUE(manager->moving().empty());
}

}  // namespace
}  // namespace odr::storage::test
