#pragma once

#include "storage/checkpoint_file.h"
#include "storage/cleaner_checkpoints.h"
#include "storage/compaction_test_support.h"
#include "storage/log_cleaner.h"
#include "storage/log_mover.h"

// For tests of the cleaner: two log directories, compacted topics and a plain one, and who moves logs between them.
namespace odr::storage::test {

class CleanerFixture : public testing::Test {
protected:
    CleanerFixture() { reopen(); }

    void reopen() {
        mover.reset();
        cleaner.reset();
        manager.reset();
        LogManagerConfig config;
        config.log_dirs = {"/a", "/b"};
        config.node_id = BrokerId{1};
        config.cluster_id = "cluster-a";
        config.log_initial_task_delay_ms = 0;
        std::string reason;
        auto opened = LogManager::open(kMayBlock, files, clock, random, config, reason);
        ASSERT_TRUE(opened) << reason;
        manager = std::move(*opened);
        const auto config_of = [&](const std::string& topic) { return topic == "plain" ? plain : compacted; };
        ASSERT_TRUE(manager->load_logs(kMayBlock, config_of, {}));
        set_cleaner(clock, {});
    }
    void set_cleaner(const Clock& its_clock, const LogCleanerConfig& config) {
        mover.reset();
        cleaner = std::make_unique<LogCleaner>(*manager, files, its_clock, random, config);
        mover = std::make_unique<LogMover>(
            *manager, clock, [this](const TopicPartition&) { return accepts ? noted : std::nullopt; },
            [this](const TopicPartition&, const Uuid&, const Uuid& directory) { noted = directory; }, cleaner.get());
    }
    static TopicPartition name_of(const std::string& topic) { return {topic, PartitionIndex{0}}; }
    static std::string other(const std::string& dir) { return dir == "/a" ? "/b" : "/a"; }
    bool is_offline(const std::string& dir) {
        const auto all = manager->log_dirs();
        return std::ranges::find(all, dir, &LogDirInfo::path)->offline;
    }
    // Ends a move that was begun.
    void move_on() {
        for (int i = 0; i < 10; ++i) clock.advance_ms(mover->run_once(kMayBlock));
    }
    std::shared_ptr<Log> create(const std::string& topic) {
        return *manager->get_or_create(kMayBlock, {topic, PartitionIndex{0}}, id, topic == "plain" ? plain : compacted);
    }
    // A rolled segment with `count` records of one key.
    void fill(Log& log, int count, const std::string& key = "a") {
        for (int i = 0; i < count; ++i) {
            const std::vector<KeyedRecord> records{{key, std::to_string(i)}};
            auto bytes = make_keyed_batch(records, {.timestamp = clock.now().raw()});
            std::vector<PendingAppend> pending{{.batch = *record::MutableRecordBatch::parse(bytes)}};
            AppendDemand demand;
            demand.add(pending[0].batch);
            ASSERT_TRUE(log.prepare_append(kMayBlock, demand, clock.now()));
            const auto lock = log.lock_for_append();
            ASSERT_TRUE(log.append(lock, pending, LeaderEpoch{0}, clock.now()).bytes > 0);
        }
        log.set_high_watermark(log.log_end_offset());
        ASSERT_TRUE(log.roll(kMayBlock, clock.now()));
    }
    std::optional<Offset> checkpoint(const std::string& dir, const std::string& topic) {
        const auto decoded = decode_offset_checkpoint(files.contents(dir + "/cleaner-offset-checkpoint"));
        if (!decoded || !decoded->contains({topic, PartitionIndex{0}})) return std::nullopt;
        return decoded->at({topic, PartitionIndex{0}});
    }
    void damage(const std::string& path) {
        std::string bytes = files.contents(path);
        bytes[70] = static_cast<char>(bytes[70] ^ 1);
        files.set_contents(path, bytes);
    }

    io::SimulatedFileSystem files;
    ManualClock clock;
    SeededRandom random{1};
    Uuid id = Uuid::parse("UJNNMwN4TqW2YAvEAqcFHw").value();
    std::shared_ptr<config::LogConfig> plain = std::make_shared<config::LogConfig>();
    std::shared_ptr<config::LogConfig> compacted = std::make_shared<config::LogConfig>(CompactionFixture::compacted());
    std::unique_ptr<LogManager> manager;
    std::unique_ptr<LogCleaner> cleaner;
    std::unique_ptr<LogMover> mover;
    std::optional<Uuid> noted;  // where the controller has the log that moves
    bool accepts = true;
};

}  // namespace odr::storage::test
