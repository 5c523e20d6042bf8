// Thousands of random histories of a group on simulated time: members join, crash, dawdle, leave, come back under their
// instance id; the log fails and the broker starts again. Each history is one seed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <set>

#include "coordinator/classic_groups_test_support.h"

namespace odr::coordinator {
namespace {

using testing::Answer;
using testing::SimulatedShard;
using testing::text_of;

constexpr std::int64_t kStepMs = 100;

// What everybody must agree on in one generation.
struct GenerationFacts {
    std::string leader;
    std::string protocol;
    std::string nonce;  // of the assignment that members were given
};

// A consumer as clients are: it does what answers tell it.
class Client {
public:
    Client(SimulatedShard& shard, SeededRandom& dice, const std::size_t& epoch, int index)
        : shard_{shard}, dice_{dice}, epoch_{epoch}, index_{index} {
        if (pick(2) == 0) instance_id_ = "i" + std::to_string(index);
        version_ = static_cast<std::int16_t>(instance_id_ ? 5 + pick(5) : pick(10));
        session_timeout_ms_ = 6'000 + static_cast<std::int32_t>(pick(4)) * 2'000;
        rebalance_timeout_ms_ = 5'000 + static_cast<std::int32_t>(pick(4)) * 10'000;
        protocols_ = pick(3) == 0 ? std::vector<std::string>{"sticky", "range"} : std::vector<std::string>{"range"};
    }

    enum class Phase { absent, joining, syncing, member, waiting };

    void start() {
        member_id_.clear();
        rejoin_in(0);
    }
    // Stops without a word.
    void crash() {
        phase_ = Phase::absent;
        join_ = {};
        sync_ = {};
    }
    void leave() {
        if (phase_ == Phase::absent || member_id_.empty()) return crash();
        protocol::LeaveGroupRequest request{.group_id = "g", .members = {{.member_id = member_id_}}};
        if (instance_id_) request.members[0].group_instance_id = *instance_id_;
        shard_.take(std::move(*shard_.groups().leave({}, request)));
        crash();
    }
    void be_silent_for(std::int64_t ms) { busy_until_ms_ = shard_.now_ms() + ms; }
    void change_metadata() { metadata_ += "x"; }
    // The consumer wants to join again, as it does when topics change.
    void rebalance() {
        if (phase_ == Phase::member) rejoin_in(0);
    }

    Phase phase() const { return phase_; }
    const std::string& member_id() const { return member_id_; }
    bool is_static() const { return instance_id_.has_value(); }
    std::int32_t generation() const { return generation_; }
    // How often the coordinator had started when it gave the last answer.
    std::size_t answer_epoch() const { return *answer_epoch_; }

    std::function<void(const Client&, const protocol::JoinGroupResponse&)> on_joined;
    std::function<void(const Client&, std::string nonce, std::string owner)> on_assigned;

    std::string identity() const { return instance_id_.value_or(member_id_); }

    void step() {
        if (phase_ == Phase::absent || shard_.now_ms() < busy_until_ms_) return;
        switch (phase_) {
            case Phase::absent:
                return;
            case Phase::waiting:
                if (shard_.now_ms() >= next_ms_) join();
                return;
            case Phase::joining:
                if (join_.is_given()) joined();
                return;
            case Phase::syncing:
                if (sync_.is_given()) synced();
                return;
            case Phase::member:
                if (shard_.now_ms() >= next_ms_) heartbeat();
                return;
        }
    }

private:
    std::uint64_t pick(std::uint64_t n) { return dice_.next() % n; }
    template <class Message>
    Deferred<Owned<Message>> noting_epoch(const Answer<Message>& answer) {
        answer_epoch_ = std::make_shared<std::size_t>(0);
        return Deferred<Owned<Message>>{
            [to = answer.deferred(), epoch = &epoch_, noted = answer_epoch_](Owned<Message> response) mutable {
                *noted = *epoch;
                to.complete(std::move(response));
            }};
    }
    void rejoin_in(std::int64_t ms) {
        phase_ = Phase::waiting;
        next_ms_ = shard_.now_ms() + ms;
    }

    void join() {
        protocol::JoinGroupRequest request{.group_id = "g",
                                           .session_timeout_ms = session_timeout_ms_,
                                           .rebalance_timeout_ms = rebalance_timeout_ms_,
                                           .member_id = member_id_,
                                           .protocol_type = "test"};
        if (instance_id_) request.group_instance_id = *instance_id_;
        for (const std::string& name : protocols_) {
            request.protocols.push_back({.name = name, .metadata = as_bytes(metadata_)});
        }
        const std::string client_id = "c" + std::to_string(index_);
        join_ = {};
        phase_ = Phase::joining;
        shard_.take(shard_.groups().join({.client_id = client_id, .client_host = "/h", .api_version = version_},
                                         request, noting_epoch(join_)));
    }

    void failed(ErrorCode error) {
        switch (error) {
            case ErrorCode::unknown_member_id:
            case ErrorCode::illegal_generation:
                member_id_.clear();
                return rejoin_in(0);
            case ErrorCode::fenced_instance_id:
            case ErrorCode::inconsistent_group_protocol:
            case ErrorCode::group_max_size_reached:
                return crash();
            case ErrorCode::rebalance_in_progress:
                return rejoin_in(0);
            case ErrorCode::not_coordinator:
            case ErrorCode::coordinator_not_available:
            case ErrorCode::unknown_server_error:
                return rejoin_in(kStepMs);
            default:
                ADD_FAILURE() << "no client knows what to do with error " << static_cast<int>(error);
                crash();
        }
    }

    void joined() {
        if (join_.error() == ErrorCode::member_id_required) {
            member_id_ = join_->member_id;
            return rejoin_in(0);
        }
        if (join_.error() != ErrorCode::none) return failed(join_.error());
        member_id_ = join_->member_id;
        generation_ = join_->generation_id;
        on_joined(*this, *join_);
        protocol::SyncGroupRequest request{.group_id = "g", .generation_id = generation_, .member_id = member_id_};
        if (instance_id_) request.group_instance_id = *instance_id_;
        std::vector<std::string> texts;
        if (join_->leader == member_id_ && !join_->skip_assignment) {
            const std::string nonce = std::to_string(dice_.next());
            texts.reserve(join_->members.size());
            for (const auto& member : join_->members) {
                const std::string_view owner = member.group_instance_id.value_or(member.member_id);
                texts.push_back(nonce + "/" + std::string{owner});
                request.assignments.push_back({.member_id = member.member_id, .assignment = as_bytes(texts.back())});
            }
        }
        sync_ = {};
        phase_ = Phase::syncing;
        shard_.take(shard_.groups().sync({}, request, noting_epoch(sync_)));
    }

    void synced() {
        if (sync_.error() != ErrorCode::none) return failed(sync_.error());
        const std::string text = text_of(sync_->assignment);
        const std::size_t slash = text.find('/');
        on_assigned(*this, text.substr(0, slash), slash == std::string::npos ? "" : text.substr(slash + 1));
        phase_ = Phase::member;
        next_ms_ = shard_.now_ms() + session_timeout_ms_ / 3;
    }

    void heartbeat() {
        protocol::HeartbeatRequest request{.group_id = "g", .generation_id = generation_, .member_id = member_id_};
        if (instance_id_) request.group_instance_id = *instance_id_;
        const auto response = shard_.take(std::move(*shard_.groups().heartbeat({}, request)));
        next_ms_ = shard_.now_ms() + session_timeout_ms_ / 3;
        if (response.error_code != 0) failed(static_cast<ErrorCode>(response.error_code));
    }

    SimulatedShard& shard_;
    SeededRandom& dice_;
    const std::size_t& epoch_;
    const int index_;
    std::optional<std::string> instance_id_;
    std::int16_t version_ = 9;
    std::int32_t session_timeout_ms_ = 0;
    std::int32_t rebalance_timeout_ms_ = 0;
    std::vector<std::string> protocols_;
    std::string metadata_ = "m";
    Phase phase_ = Phase::absent;
    std::string member_id_;
    std::int32_t generation_ = -1;
    std::int64_t next_ms_ = 0;
    std::int64_t busy_until_ms_ = 0;
    Answer<protocol::JoinGroupResponse> join_;
    Answer<protocol::SyncGroupResponse> sync_;
    std::shared_ptr<std::size_t> answer_epoch_ = std::make_shared<std::size_t>(0);
};

class History {
public:
    explicit History(std::uint64_t seed) : dice_{seed}, shard_{seed} {
        shard_.mutable_settings().group_initial_rebalance_delay_ms = static_cast<std::int32_t>(pick(2) * 1'000);
        if (pick(4) == 0) shard_.mutable_settings().group_max_size = 3;
        const int count = 1 + static_cast<int>(pick(7));
        for (int i = 0; i < count; ++i) {
            clients_.push_back(std::make_unique<Client>(shard_, dice_, restart_count, i));
            clients_.back()->on_joined = [this](const Client& client, const auto& told) { joined(client, told); };
            clients_.back()->on_assigned = [this](const Client& client, std::string nonce, std::string owner) {
                assigned(client, nonce, owner);
            };
        }
    }

    void run() {
        const std::uint64_t steps = 200 + pick(600);
        for (std::uint64_t i = 0; i < steps; ++i) {
            disturb();
            step();
        }
        calm_down();
        end();
    }

    std::size_t stable_count = 0;
    std::size_t restart_count = 0;

private:
    std::uint64_t pick(std::uint64_t n) { return dice_.next() % n; }

    void disturb() {
        Client& client = *clients_[pick(clients_.size())];
        switch (pick(40)) {
            case 0:
            case 1:
            case 2:
                if (client.phase() == Client::Phase::absent) client.start();
                break;
            case 3:
                client.crash();
                break;
            case 4:
                client.leave();
                break;
            case 5:
                client.be_silent_for(static_cast<std::int64_t>(pick(40'000)));
                break;
            case 6:
                client.rebalance();
                break;
            case 7:
                client.change_metadata();
                client.rebalance();
                break;
            case 8:  // a new process under the old instance id, while the old one may still be there
                if (client.is_static()) client.start();
                break;
            case 9:
                if (pick(2) == 0) break_log();
                break;
            default:
                break;
        }
    }

    void break_log() {
        switch (pick(3)) {
            case 0:
                shard_.restart();
                ++restart_count;
                break;
            case 1:
                shard_.fail_appends(ErrorCode::kafka_storage_error);
                ++restart_count;
                break;
            case 2:
                is_log_behind_ |= shard_.has_appends();
                shard_.refuse_appends(ErrorCode::record_list_too_large);
                break;
        }
    }
    void step(bool is_committing = false) {
        if (is_committing || pick(3) == 0) shard_.commit();
        shard_.advance(static_cast<std::int64_t>(pick(2 * kStepMs)), false);
        for (auto& client : clients_) client->step();
        check_group();
    }

    // In a generation there is one leader and one protocol.
    void joined(const Client& client, const protocol::JoinGroupResponse& told) {
        ASSERT_FALSE(client.member_id().empty());
        GenerationFacts& facts = facts_[{client.answer_epoch(), told.generation_id}];
        const std::string protocol{told.protocol_name.value_or("")};
        EXPECT_NE(protocol, "");
        if (facts.protocol.empty()) facts.protocol = protocol;
        EXPECT_EQ(facts.protocol, protocol) << "generation " << told.generation_id;
        if (!told.members.empty()) {
            EXPECT_EQ(told.leader, client.member_id()) << "only a leader hears of the others";
            std::set<std::string_view> distinct;
            for (const auto& member : told.members) distinct.insert(member.member_id);
            EXPECT_EQ(distinct.size(), told.members.size());
            EXPECT_TRUE(distinct.contains(client.member_id()));
        }
        // A static leader that came back leads under another member id.
        if (facts.leader.empty()) facts.leader = told.leader;
        if (facts.leader != told.leader) {
            const std::string before = facts.leader.substr(0, facts.leader.find('-'));
            EXPECT_EQ(before, std::string{told.leader}.substr(0, before.size()));
            EXPECT_EQ(before[0], 'i') << "generation " << told.generation_id << " has two leaders: " << facts.leader
                                      << " and " << told.leader;
            facts.leader = told.leader;
        }
    }

    // Everybody has what one leader's assignment says of them.
    void assigned(const Client& client, const std::string& nonce, const std::string& owner) {
        EXPECT_EQ(owner, client.identity()) << "generation " << client.generation();
        GenerationFacts& facts = facts_[{client.answer_epoch(), client.generation()}];
        if (facts.nonce.empty()) facts.nonce = nonce;
        EXPECT_EQ(facts.nonce, nonce) << "two assignments in generation " << client.generation();
        ++stable_count;
    }

    void check_group() {
        const std::vector<std::string> timers = shard_.timer_names();
        const ClassicGroup* const group = shard_.group();
        if (group == nullptr) {
            EXPECT_TRUE(timers.empty()) << timers.front();
            return;
        }
        std::set<std::string> allowed;
        for (const auto& [id, member] : group->members()) allowed.insert("classic-session:1:g:" + id);
        for (const std::string& id : group->pending_join()) allowed.insert("classic-session:1:g:" + id);
        if (group->is_in(ClassicGroupState::preparing_rebalance)) {
            allowed.insert("classic-join:g");
            EXPECT_TRUE(shard_.is_scheduled("classic-join:g")) << "a rebalance without an end";
        }
        if (!group->pending_sync().empty()) {
            allowed.insert("classic-sync:g");
            EXPECT_TRUE(shard_.is_scheduled("classic-sync:g"));
        }
        for (const std::string& timer : timers) EXPECT_TRUE(allowed.contains(timer)) << timer << " leaks";
        std::size_t awaiting = 0;
        for (const auto& [id, member] : group->members()) {
            awaiting += member.awaiting_join ? 1 : 0;
            if (member.awaiting_join || member.awaiting_sync) continue;
            EXPECT_TRUE(shard_.is_scheduled("classic-session:1:g:" + id)) << id << " would never be missed";
        }
        EXPECT_EQ(awaiting, group->awaiting_join_count());
        if (group->is_in(ClassicGroupState::completing_rebalance)) {
            EXPECT_TRUE(!group->pending_sync().empty() || shard_.has_appends()) << "an assignment that never comes";
        }
    }

    // Without disturbances whoever is there becomes a member of one stable generation.
    void calm_down() {
        for (int i = 0; i < 6'000; ++i) step(true);
        std::set<std::int32_t> generations;
        std::size_t members = 0;
        for (const auto& client : clients_) {
            if (client->phase() == Client::Phase::absent) continue;
            EXPECT_EQ(client->phase(), Client::Phase::member) << "somebody waits for ever";
            generations.insert(client->generation());
            ++members;
        }
        EXPECT_LE(generations.size(), 1U);
        if (members == 0) return;
        ASSERT_NE(shard_.group(), nullptr);
        EXPECT_TRUE(shard_.group()->is_in(ClassicGroupState::stable)) << shard_.group()->state_name();
        EXPECT_EQ(shard_.group()->members().size(), members) << "somebody who vanished is still there";
    }

    void end() {
        for (auto& client : clients_) client->crash();
        shard_.advance(600'000);
        if (shard_.group() == nullptr) return;
        EXPECT_TRUE(shard_.group()->is_empty()) << shard_.group()->state_name();
        EXPECT_TRUE(shard_.timer_names().empty());
        const std::int32_t generation = shard_.group()->generation_id();
        shard_.commit();
        shard_.restart();
        if (shard_.group() == nullptr) return;
        // Members that the log still has, because their end was not written, end once more.
        if (is_log_behind_) shard_.advance(600'000);
        EXPECT_TRUE(shard_.group()->is_empty());
        EXPECT_TRUE(shard_.timer_names().empty());
        if (!is_log_behind_) {
            EXPECT_EQ(shard_.group()->generation_id(), generation);
        }
    }

    SeededRandom dice_;
    SimulatedShard shard_;
    std::vector<std::unique_ptr<Client>> clients_;
    bool is_log_behind_ = false;                                             // a record was refused
    std::map<std::pair<std::size_t, std::int32_t>, GenerationFacts> facts_;  // by epoch and generation
};

// ODR_SEED=n runs that history alone; ODR_HISTORIES=n runs so many.
TEST(ClassicGroupsSimulation, EveryHistoryKeepsTheRulesOfTheProtocol) {
    const char* const only = std::getenv("ODR_SEED");
    const char* const many = std::getenv("ODR_HISTORIES");
    const std::uint64_t first = only != nullptr ? std::strtoull(only, nullptr, 10) : 1;
    const std::uint64_t count = only != nullptr ? 1 : many != nullptr ? std::strtoull(many, nullptr, 10) : 1'000;
    std::size_t stable = 0;
    std::size_t restarts = 0;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        SCOPED_TRACE("ODR_SEED=" + std::to_string(seed));
        History history{seed};
        history.run();
        stable += history.stable_count;
        restarts += history.restart_count;
        if (HasFailure()) break;
    }
    std::printf("seeds %llu to %llu: %zu assignments received, %zu restarts\n", static_cast<unsigned long long>(first),
                static_cast<unsigned long long>(first + count - 1), stable, restarts);
    if (only == nullptr) {
        EXPECT_GT(stable, count) << "the histories are too dull";
        EXPECT_GT(restarts, count / 2) << "the log is too reliable";
    }
}

}  // namespace
}  // namespace odr::coordinator
