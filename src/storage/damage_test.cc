#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "storage/checkpoint_file.h"
#include "storage/log_manager.h"
#include "storage/log_test_support.h"

// Data directories with random damage: a start repairs what it can, refuses the rest by name, and makes nothing worse.
namespace odr::storage::test {
namespace {

constexpr std::uint64_t kSeeds = 400;
const std::vector<std::string> kDirectories = {"/d0", "/d1"};

// ODRADEK_DAMAGE_SEEDS says how many, ODRADEK_DAMAGE_FROM where to begin: one seed again, or others in a long run.
std::uint64_t number(const char* variable, std::uint64_t otherwise) {
    const char* text = std::getenv(variable);
    return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

struct Written {
    Offset base, last;
    std::vector<std::uint8_t> bytes;
    TimestampMs timestamp;
    Offset segment{0};     // base offset of the segment it is in
    std::size_t position;  // in the segment
    LeaderEpoch epoch{0};
};
using Model = std::map<TopicPartition, std::vector<Written>>;

// Where a file was damaged: nothing at or behind `from` need be as it was.
struct Wound {
    std::string path;
    std::size_t from;
    std::string what;
};

class DamagedNode {
public:
    explicit DamagedNode(std::uint64_t seed) : random_{seed} {
        settings_->segment_bytes = 1500 + static_cast<std::int32_t>(pick(4)) * 40'000;
        settings_->index_interval_bytes = 200;
    }

    std::uint64_t pick(std::uint64_t below) { return random_.next() % below; }

    // Gives: why it does not start; empty when it does.
    std::string start() {
        LogManagerConfig config;
        config.log_dirs = kDirectories;
        config.node_id = BrokerId{1};
        config.cluster_id = "cluster-a";
        config.log_initial_task_delay_ms = 1'000'000'000;
        std::string reason;
        auto opened = LogManager::open(kMayBlock, files_, clock_, random_, config, reason);
        if (!opened) return reason.empty() ? "refused without a reason" : reason;
        manager_ = std::move(*opened);
        const auto loaded = manager_->load_logs(kMayBlock, [&](const std::string&) { return settings_; }, {});
        return loaded ? "" : "no directory can be loaded";
    }
    void stop_cleanly() {
        manager_->stop(kMayBlock, 7);
        manager_.reset();
    }
    void kill() { manager_.reset(); }

    // Of each kind of file in these directories one, and of segments the first and the last. The kind is a file's name,
    // or its ending.
    std::vector<std::string> files_of(const std::string& kind);
    void write(const TopicPartition& name, int batches, bool idempotent, bool transactions);
    void fill();
    std::vector<Wound> wound();
    void check(const std::vector<Wound>& wounds);
    std::map<TopicPartition, std::string> served();
    void append_everywhere();
    bool has_wounded_log(const TopicPartition& name, const std::vector<Wound>& wounds) const;

    std::unique_ptr<LogManager> manager_;
    io::SimulatedFileSystem files_;
    Model model_;
    std::map<TopicPartition, std::string> folders_;

private:
    std::vector<std::string> all_files();
    void check_partition(const TopicPartition& name, const std::vector<Wound>& wounds);
    void check_bytes(const TopicPartition& name, const Log& log, bool is_whole, bool durable_was_hurt);
    void check_lookups(const TopicPartition& name, const Log& log, bool txn_index_is_whole);

    SeededRandom random_;
    ManualClock clock_;
    std::shared_ptr<config::LogConfig> settings_ = std::make_shared<config::LogConfig>();
    Uuid id_ = Uuid::parse("UJNNMwN4TqW2YAvEAqcFHw").value();
    std::map<TopicPartition, std::int32_t> sequences_;
    std::map<TopicPartition, std::vector<AbortedTransaction>> aborted_;
    std::map<TopicPartition, std::int32_t> epochs_;
    std::int64_t now_ms_ = 1'000;
};

std::vector<AppendInfo> append_to(Log& log, std::vector<std::uint8_t>& bytes, LeaderEpoch epoch, AppendOrigin origin) {
    const TimestampMs now{1'000'000};
    std::vector<PendingAppend> pending{
        {.batch = *record::MutableRecordBatch::parse(bytes), .origin = origin, .result = AppendInfo{}}};
    AppendDemand demand;
    demand.add(pending.back().batch);
    for (int tries = 0; tries < 3; ++tries) {
        {
            auto lock = log.lock_for_append();
            if (log.ready_to_append(lock, demand, now)) {
                (void)log.append(lock, pending, epoch, now);
                return pending[0].result ? std::vector{*pending[0].result} : std::vector<AppendInfo>{};
            }
        }
        if (!log.prepare_append(kMayBlock, demand, now)) return {};
    }
    return {};
}

void DamagedNode::write(const TopicPartition& name, int batches, bool idempotent, bool transactions) {
    const auto log = *manager_->get_or_create(kMayBlock, name, id_, settings_);
    folders_[name] = log->directory();
    auto& written = model_[name];
    Offset first_of_transaction = kNoOffset;
    for (int i = 0; i < batches; ++i) {
        now_ms_ += 10;
        if (pick(7) == 0) ++epochs_[name];
        const bool end = transactions && first_of_transaction != kNoOffset && pick(3) == 0;
        std::vector<std::uint8_t> bytes;
        BatchSpec spec{.records = 1 + static_cast<int>(pick(3)), .timestamp = now_ms_, .value_bytes = 20 + pick(200)};
        const bool abort = pick(2) == 0;
        if (end) {
            const auto type = abort ? record::ControlRecordType::abort : record::ControlRecordType::commit;
            bytes = make_marker(ProducerId{5}, ProducerEpoch{0}, type, now_ms_);
        } else {
            if (idempotent || transactions) {
                spec.producer = ProducerId{5};
                spec.epoch = ProducerEpoch{0};
                spec.sequence = sequences_[name];
                spec.transactional = transactions;
                sequences_[name] += spec.records;
            }
            bytes = make_batch(spec);
        }
        const auto origin = end ? AppendOrigin::coordinator : AppendOrigin::client;
        const auto done = append_to(*log, bytes, LeaderEpoch{epochs_[name]}, origin);
        ASSERT_EQ(done.size(), 1U);
        if (transactions && !end && first_of_transaction == kNoOffset) first_of_transaction = done[0].base_offset;
        if (end) {
            if (abort) aborted_[name].push_back({ProducerId{5}, first_of_transaction});
            first_of_transaction = kNoOffset;
        }
        const Offset segment = log->active_segment_offset();
        const bool same = !written.empty() && written.back().segment == segment;
        const std::size_t position = same ? written.back().position + written.back().bytes.size() : 0;
        written.push_back({done[0].base_offset, done[0].last_offset, bytes, TimestampMs{now_ms_}, segment, position,
                           LeaderEpoch{epochs_[name]}});
        log->set_high_watermark(log->log_end_offset());
        if (pick(12) == 0) {
            ASSERT_TRUE(log->flush(kMayBlock));
        }
    }
}

void DamagedNode::fill() {
    ASSERT_EQ(start(), "");
    write({"plain", PartitionIndex{0}}, 5 + static_cast<int>(pick(40)), false, false);
    write({"plain", PartitionIndex{1}}, 5 + static_cast<int>(pick(5)), false, false);
    write({"sure", PartitionIndex{0}}, 5 + static_cast<int>(pick(30)), true, false);
    write({"exact", PartitionIndex{0}}, 5 + static_cast<int>(pick(40)), true, true);
    if (pick(2) == 0) manager_->checkpoint_all(kMayBlock);
    if (pick(3) == 0) {
        stop_cleanly();
        ASSERT_EQ(start(), "");
        write({"plain", PartitionIndex{0}}, static_cast<int>(pick(20)), false, false);
        write({"exact", PartitionIndex{0}}, 0, true, true);
    }
}

std::vector<std::string> DamagedNode::all_files() {
    std::vector<std::string> out;
    std::vector<std::string> folders = kDirectories;
    while (!folders.empty()) {
        const std::string folder = folders.back();
        folders.pop_back();
        const auto entries = files_.list(folder);
        for (const auto& entry : *entries) {
            (entry.is_directory ? folders : out).push_back(folder + "/" + entry.name);
        }
    }
    return out;
}

std::vector<std::string> DamagedNode::files_of(const std::string& kind) {
    std::vector<std::string> out = all_files();
    std::erase_if(out, [&](const std::string& path) {
        return !path.ends_with(kind) || (!kind.starts_with('.') && !path.ends_with("/" + kind));
    });
    std::ranges::sort(out);
    if (out.size() > 2) out = {out.front(), out.back()};
    return out;
}

std::vector<Wound> DamagedNode::wound() {
    std::vector<Wound> out;
    for (std::uint64_t n = 1 + pick(3); n > 0; --n) {
        auto candidates = all_files();
        std::erase_if(candidates, [](const std::string& path) { return path.ends_with("/.lock"); });
        const std::string& path = candidates[pick(candidates.size())];
        std::string bytes = files_.contents(path);
        const std::size_t at = bytes.empty() ? 0 : pick(bytes.size());
        Wound made{path, at, ""};
        switch (pick(7)) {
            case 0:
                made.what = "removed";
                made.from = 0;
                (void)files_.remove(path);
                break;
            case 1:
                made.what = "cut";
                files_.set_contents(path, bytes.substr(0, at));
                break;
            case 2:
                made.what = "zeroed";
                std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                          bytes.begin() + static_cast<std::ptrdiff_t>(std::min(bytes.size(), at + 1 + pick(500))),
                          '\0');
                files_.set_contents(path, bytes);
                break;
            case 3: {
                made.what = "followed by garbage";
                made.from = bytes.size();
                for (std::uint64_t i = pick(300); i > 0; --i) bytes.push_back(static_cast<char>(random_.next()));
                files_.set_contents(path, bytes);
                break;
            }
            case 4:
                made.what = "followed by zeros";
                made.from = bytes.size();
                files_.set_contents(path, bytes + std::string(1 + pick(5000), '\0'));
                break;
            case 5:
                made.what = "overwritten";
                made.from = 0;
                for (char& byte : bytes) byte = static_cast<char>(random_.next());
                files_.set_contents(path, bytes);
                break;
            default:
                made.what = "flipped";
                if (!bytes.empty()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << pick(8)));
                files_.set_contents(path, bytes);
                break;
        }
        out.push_back(std::move(made));
    }
    return out;
}

// Everything a reader gets, and where it is refused. Reads go on behind a refusal at the next segment.
std::map<TopicPartition, std::string> DamagedNode::served() {
    std::map<TopicPartition, std::string> out;
    for (const auto& [name, unused] : model_) {
        const auto log = manager_->get(name);
        if (!log) {
            out[name] = "refused";
            continue;
        }
        std::string text = fmt::format("{}..{}", log->log_start_offset(), log->log_end_offset());
        Offset next = log->log_start_offset();
        while (next < log->log_end_offset()) {
            const auto plan = log->read(
                kMayBlock,
                {.from = next, .bytes_max = 1 << 20, .upper_bound = log->log_end_offset(), .min_one_message = true});
            if (!plan) {
                text += fmt::format(" {}: {}", next, plan.error().what);
                break;
            }
            const auto bytes = LogFixture::bytes_of(plan->slice);
            const Offset before = next;
            record::BatchIterator walk{bytes};
            for (;;) {
                const auto batch = walk.next();
                if (!batch || !*batch) break;
                text += fmt::format(" {}-{}:{:x}", (*batch)->base_offset(), (*batch)->last_offset(),
                                    (*batch)->computed_crc());
                next = (*batch)->next_offset();
            }
            if (next <= before) break;
        }
        out[name] = text;
    }
    return out;
}

bool DamagedNode::has_wounded_log(const TopicPartition& name, const std::vector<Wound>& wounds) const {
    const std::string folder = folders_.at(name) + "/";
    return std::ranges::any_of(
        wounds, [&](const Wound& each) { return each.path.starts_with(folder) && each.path.ends_with(".log"); });
}

void DamagedNode::check(const std::vector<Wound>& wounds) {
    for (const auto& [name, unused] : model_) check_partition(name, wounds);
}

void DamagedNode::check_partition(const TopicPartition& name, const std::vector<Wound>& wounds) {
    SCOPED_TRACE(name.to_string());
    const auto log = manager_->get(name);
    ASSERT_NE(log, nullptr) << "damage is no failure of the disk: the partition must be there";
    const bool is_whole = !has_wounded_log(name, wounds);
    const auto& written = model_[name];
    const auto hurt = [&](const Written& batch) {
        const std::string file = folders_[name] + "/" + fmt::format("{:020}.log", batch.segment.raw());
        return std::ranges::any_of(wounds, [&](const Wound& each) {
            return each.path == file && each.from < batch.position + batch.bytes.size();
        });
    };
    const bool durable_was_hurt = std::ranges::any_of(
        written, [&](const Written& batch) { return hurt(batch) && batch.last < log->recovery_point(); });
    check_bytes(name, *log, is_whole, durable_was_hurt);
    if (is_whole) {
        ASSERT_EQ(log->log_start_offset(), Offset{0});
        ASSERT_EQ(log->log_end_offset(), written.back().last + 1);
        const auto txn = [](const Wound& each) { return each.path.ends_with(".txnindex"); };
        check_lookups(name, *log, std::ranges::none_of(wounds, txn));
        // Another number in place of the right one tells nobody that it is wrong.
        const auto epochs = [&](const Wound& each) {
            return each.path == folders_[name] + "/leader-epoch-checkpoint" && each.what == "flipped";
        };
        if (std::ranges::any_of(wounds, epochs)) return;
        for (const Written& batch : written) ASSERT_EQ(log->epoch_for_offset(batch.base), batch.epoch);
        return;
    }
    // Below the first wound all is as it was.
    for (const Written& batch : written) {
        if (hurt(batch)) break;
        const auto plan = log->read(
            kMayBlock, {.from = batch.base, .bytes_max = 1, .upper_bound = batch.last + 1, .min_one_message = true});
        ASSERT_TRUE(plan.has_value()) << plan.error().what << " at " << batch.base.raw();
        ASSERT_TRUE(std::ranges::equal(LogFixture::bytes_of(plan->slice), batch.bytes)) << batch.base.raw();
    }
}

// Nothing is served that was not written, unless the disk had confirmed it and lost it since.
void DamagedNode::check_bytes(const TopicPartition& name, const Log& log, bool is_whole, bool durable_was_hurt) {
    std::map<Offset, const Written*> by_base;
    for (const Written& batch : model_[name]) by_base[batch.base] = &batch;
    std::size_t seen = 0;
    for (Offset next = log.log_start_offset(); next < log.log_end_offset();) {
        const auto plan = log.read(
            kMayBlock,
            {.from = next, .bytes_max = 1 << 20, .upper_bound = log.log_end_offset(), .min_one_message = true});
        ASSERT_TRUE(plan.has_value() || !is_whole) << plan.error().what << " at " << next.raw();
        if (!plan) return;
        const auto bytes = LogFixture::bytes_of(plan->slice);
        const Offset before = next;
        record::BatchIterator walk{bytes};
        for (;;) {
            const auto batch = walk.next();
            if (!batch || !*batch) break;
            ++seen;
            next = (*batch)->next_offset();
            if ((*batch)->base_offset() >= log.recovery_point()) {
                ASSERT_TRUE((*batch)->is_crc_valid());
            }
            if (!(*batch)->is_crc_valid()) continue;
            const auto found = by_base.find((*batch)->base_offset());
            // The offset is outside the CRC: one that was durable is read as it is.
            if (durable_was_hurt) continue;
            ASSERT_NE(found, by_base.end()) << (*batch)->base_offset().raw() << " was never written";
            // The leader epoch and the offset itself are outside the CRC.
            ASSERT_TRUE(std::ranges::equal((*batch)->bytes().subspan(16), ByteView{found->second->bytes}.subspan(16)));
        }
        if (next <= before) break;
    }
    if (is_whole) {
        ASSERT_EQ(seen, by_base.size());
    }
}

void DamagedNode::check_lookups(const TopicPartition& name, const Log& log, bool txn_index_is_whole) {
    const auto& written = model_[name];
    for (const Written& batch : written) {
        const auto plan = log.read(
            kMayBlock,
            {.from = batch.base, .bytes_max = 1, .upper_bound = log.log_end_offset(), .min_one_message = true});
        ASSERT_TRUE(plan.has_value()) << plan.error().what;
        ASSERT_TRUE(std::ranges::equal(LogFixture::bytes_of(plan->slice), batch.bytes)) << batch.base.raw();
        const auto found = log.offset_for_timestamp(kMayBlock, batch.timestamp);
        ASSERT_TRUE(found && *found) << batch.timestamp.raw();
        ASSERT_EQ((*found)->offset, batch.base);
    }
    if (!txn_index_is_whole) return;
    const auto aborted = log.aborted_transactions(kMayBlock, Offset{0}, log.log_end_offset());
    ASSERT_TRUE(aborted.has_value());
    ASSERT_EQ(aborted->size(), aborted_[name].size());
    for (std::size_t i = 0; i < aborted->size(); ++i) {
        ASSERT_EQ((*aborted)[i].first_offset, aborted_[name][i].first_offset);
    }
}

void DamagedNode::append_everywhere() {
    for (auto& [name, written] : model_) {
        const auto log = manager_->get(name);
        ASSERT_NE(log, nullptr);
        const Offset end = log->log_end_offset();
        auto bytes = make_batch({.timestamp = now_ms_ + 1'000});
        const auto done = append_to(*log, bytes, LeaderEpoch{epochs_[name] + 1}, AppendOrigin::client);
        ASSERT_EQ(done.size(), 1U) << name.to_string();
        ASSERT_GE(done[0].base_offset, end);
        log->set_high_watermark(log->log_end_offset());
        const auto plan = log->read(kMayBlock, {.from = done[0].base_offset,
                                                .bytes_max = 1,
                                                .upper_bound = log->log_end_offset(),
                                                .min_one_message = true});
        ASSERT_TRUE(plan.has_value()) << name.to_string() << ": " << plan.error().what;
        ASSERT_TRUE(std::ranges::equal(LogFixture::bytes_of(plan->slice), bytes)) << name.to_string();
    }
}

// Starts on what was damaged, twice, and goes on with it.
void start_and_check(DamagedNode& node, const std::vector<Wound>& wounds, bool clean) {
    std::string trace = clean ? "stopped cleanly:" : "killed:";
    for (const Wound& each : wounds) trace += fmt::format(" {} {} at {}", each.path, each.what, each.from);
    SCOPED_TRACE(trace);
    if (const std::string reason = node.start(); !reason.empty()) {
        const auto named = [&](const Wound& each) { return reason.find(each.path) != std::string::npos; };
        ASSERT_TRUE(std::ranges::any_of(wounds, named)) << reason;
        ASSERT_NE(reason.find("meta.properties"), std::string::npos) << reason;
        return;
    }
    node.check(wounds);
    if (testing::Test::HasFatalFailure()) return;
    const auto first = node.served();
    const bool again_clean = node.pick(2) == 0;
    again_clean ? node.stop_cleanly() : node.kill();
    ASSERT_EQ(node.start(), "");
    const auto second = node.served();
    for (const auto& [name, text] : first) {
        if (again_clean || !node.has_wounded_log(name, wounds)) {
            ASSERT_EQ(second.at(name), text) << name.to_string();
        }
    }
    node.append_everywhere();
    if (testing::Test::HasFatalFailure()) return;
    const auto appended = node.served();
    node.stop_cleanly();
    ASSERT_EQ(node.start(), "");
    ASSERT_EQ(node.served(), appended);
}

void run(std::uint64_t seed) {
    DamagedNode node{seed};
    node.fill();
    if (testing::Test::HasFatalFailure()) return;
    const bool clean = node.pick(2) == 0;
    clean ? node.stop_cleanly() : node.kill();
    start_and_check(node, node.wound(), clean);
}

// --- each kind of file damaged in each way

const std::vector<std::string> kKinds = {"meta.properties",
                                         "recovery-point-offset-checkpoint",
                                         "log-start-offset-checkpoint",
                                         "replication-offset-checkpoint",
                                         "cleaner-offset-checkpoint",
                                         ".kafka_cleanshutdown",
                                         ".lock",
                                         "partition.metadata",
                                         "leader-epoch-checkpoint",
                                         ".snapshot",
                                         ".index",
                                         ".timeindex",
                                         ".txnindex",
                                         ".log"};

struct Way {
    const char* what;
    // Gives: where the damage begins.
    std::size_t (*harm)(std::string& bytes);
};
template <int kPart>
std::size_t flip_at(std::string& bytes) {
    if (bytes.empty()) return 0;
    const std::size_t at = std::min(bytes.size() - 1, bytes.size() * kPart / 2);
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    return at;
}
const std::vector<Way> kWays = {
    {"emptied", [](std::string& bytes) { return bytes.clear(), std::size_t{0}; }},
    {"halved", [](std::string& bytes) { return bytes.resize(bytes.size() / 2), bytes.size(); }},
    {"flipped", flip_at<0>},
    {"flipped", flip_at<1>},
    {"flipped", flip_at<2>},
};

TEST(DamageTest, EachKindOfFileIsRepairedOrRefusedWhereverItIsDamaged) {
    std::map<std::string, int> done;
    for (const std::string& kind : kKinds) {
        for (const bool clean : {true, false}) {
            for (std::size_t way = 0; way <= kWays.size(); ++way) {
                for (std::size_t which = 0; which < 2; ++which) {
                    DamagedNode node{way + 7};
                    node.fill();
                    if (HasFatalFailure()) return;
                    node.manager_->checkpoint_all(kMayBlock);
                    clean ? node.stop_cleanly() : node.kill();
                    node.files_.set_contents("/d0/cleaner-offset-checkpoint", "0\n1\nplain 0 2\n");
                    const std::vector<std::string> files = node.files_of(kind);
                    if (which >= files.size()) continue;
                    const std::string& path = files[which];
                    Wound wound{path, 0, "removed"};
                    if (way == kWays.size()) {
                        ASSERT_TRUE(node.files_.remove(path));
                    } else {
                        std::string bytes = node.files_.contents(path);
                        wound.what = kWays[way].what;
                        wound.from = kWays[way].harm(bytes);
                        node.files_.set_contents(path, bytes);
                    }
                    start_and_check(node, {wound}, clean);
                    if (HasFatalFailure()) return;
                    ++done[kind];
                }
            }
        }
    }
    for (const std::string& kind : kKinds) EXPECT_GE(done[kind], 6) << kind;
}

TEST(DamageTest, AStartRepairsOrRefusesWhateverWasDamagedAndServesWhatWasNot) {
    const std::uint64_t first = number("ODRADEK_DAMAGE_FROM", 1);
    for (std::uint64_t seed = first; seed < first + number("ODRADEK_DAMAGE_SEEDS", kSeeds); ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        run(seed);
        if (HasFatalFailure()) break;
    }
}

}  // namespace
}  // namespace odr::storage::test
