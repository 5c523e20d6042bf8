// Thousands of histories of a consumer group on simulated time: members come, go, crash, lose answers and change their
// minds; topics come, grow and go; the shard is loaded anew. A failure names its seed.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "coordinator/consumer_groups_test_support.h"

namespace odr::coordinator::testing {
namespace {

constexpr std::uint64_t kFirstSeed = 848;
constexpr std::uint64_t kHistories = 3'000;
constexpr int kSteps = 60;
constexpr int kSettlingRounds = 40;

class History {
public:
    explicit History(std::uint64_t seed) : random_{seed}, shard_{seed} {
        for (const char* topic : {"a", "b", "c"}) shard_.create_topic(topic, 1 + up_to(5));
        // A default that some histories have, as brokers do.
        if (up_to(3) == 0) shard_.mutable_settings().group_consumer_assignment_interval_ms = 1'000;
    }

    void run() {
        for (int step = 0; step < kSteps && !::testing::Test::HasFailure(); ++step) {
            act();
            check();
        }
        settle();
    }

private:
    struct Client {
        TestConsumer consumer;
        bool is_alive = true;
        bool is_lazy = false;    // does not give up what it should for a while
        std::int32_t heard = 0;  // the last epoch
    };

    int up_to(int limit) { return static_cast<int>(random_.next() % static_cast<std::uint64_t>(limit)); }
    std::vector<std::string> some_topics() {
        std::vector<std::string> topics;
        for (const char* topic : {"a", "b", "c", "d"}) {
            if (up_to(3) > 0) topics.emplace_back(topic);
        }
        return topics;
    }
    Client* some_client(bool is_alive) {
        std::vector<Client*> fitting;
        for (const auto& client : clients_) {
            if (client->is_alive == is_alive) fitting.push_back(client.get());
        }
        return fitting.empty() ? nullptr : fitting[static_cast<std::size_t>(up_to(static_cast<int>(fitting.size())))];
    }

    void act() {
        const int action = up_to(20);
        if (action < 9) {
            heartbeat_all();
        } else if (action < 11) {
            join();
        } else if (action == 11) {
            change_subscription();
        } else if (action == 12) {
            leave();
        } else if (action == 13) {
            crash();
        } else if (action == 14) {
            change_topics();
        } else if (action == 15) {
            shard_.restart();
        } else if (action == 16) {
            come_back();
        } else if (action == 17) {
            if (Client* client = some_client(true)) client->is_lazy = !client->is_lazy;
        } else {
            shard_.advance(up_to(30'000));
        }
    }

    void heartbeat(Client& client, bool hears) {
        const bool was_joining = client.consumer.epoch == 0;
        const auto answer = client.consumer.beat(hears, !client.is_lazy);
        const auto error = static_cast<ErrorCode>(answer.message.error_code);
        if (error == ErrorCode::none && !was_joining) {
            EXPECT_GE(answer.message.member_epoch, client.heard) << client.consumer.id();
        }
        if (error == ErrorCode::none && hears) client.heard = answer.message.member_epoch;
        EXPECT_TRUE(error == ErrorCode::none || error == ErrorCode::fenced_member_epoch ||
                    error == ErrorCode::unknown_member_id || error == ErrorCode::unreleased_instance_id ||
                    error == ErrorCode::fenced_instance_id)
            << answer.message.error_message.value_or("");
    }
    void heartbeat_all() {
        for (const auto& client : clients_) {
            if (client->is_alive && up_to(4) > 0) heartbeat(*client, up_to(8) > 0);
            check();
        }
        shard_.advance(up_to(6'000));
    }

    void join() {
        if (clients_.size() >= 8) return;
        const int number = static_cast<int>(clients_.size());
        auto client = std::make_unique<Client>(TestConsumer{shard_, fmt::format("m{}", number), some_topics()});
        if (up_to(3) == 0) client->consumer.instance_id = fmt::format("i{}", number);
        if (up_to(4) == 0) {
            client->consumer.subscribe({});
            client->consumer.subscribe_regex(up_to(2) == 0 ? "[ab].*" : ".*");
        }
        clients_.push_back(std::move(client));
        heartbeat(*clients_.back(), up_to(8) > 0);
    }
    void change_subscription() {
        Client* const client = some_client(true);
        if (client == nullptr) return;
        if (up_to(3) == 0) {
            client->consumer.subscribe_regex(up_to(3) == 0 ? "" : "[bc]");
        } else {
            client->consumer.subscribe(some_topics());
        }
    }
    void leave() {
        Client* const client = some_client(true);
        if (client == nullptr) return;
        const bool is_for_a_while = client->consumer.instance_id && up_to(2) == 0;
        client->consumer.leave(is_for_a_while ? kStaticLeaveEpoch : kLeaveEpoch);
        client->is_alive = false;
        client->heard = 0;
    }
    // It holds on to what it has until its session is over, and then has nothing.
    void crash() {
        if (Client* client = some_client(true)) client->is_alive = false;
    }
    void come_back() {
        Client* const client = some_client(false);
        if (client == nullptr) return;
        // The process is new: it knows nothing, and dynamic members have a new id.
        client->consumer.forget();
        client->heard = 0;
        client->consumer.set_id(fmt::format("n{}", ++incarnations_));
        client->is_alive = true;
        client->is_lazy = false;
    }
    void change_topics() {
        const std::string topic{"abcd"[up_to(4)]};
        if (shard_.image().topics().find(topic) == nullptr) {
            shard_.create_topic(topic, 1 + up_to(5));
        } else if (up_to(3) == 0) {
            shard_.delete_topic(topic);
        } else {
            shard_.add_partition(topic);
        }
    }

    // No partition is with two members at once, and epochs only grow.
    void check() {
        ConsumerGroup* const group = shard_.group();
        if (group == nullptr) {
            group_epoch_ = assignment_epoch_ = 0;
            return;
        }
        EXPECT_GE(group->group_epoch(), group_epoch_);
        EXPECT_GE(group->assignment_epoch(), assignment_epoch_);
        EXPECT_GE(group->group_epoch(), group->assignment_epoch());
        group_epoch_ = group->group_epoch();
        assignment_epoch_ = group->assignment_epoch();
        std::map<Partition, std::string> held;
        for (const auto& [member_id, member] : group->members()) {
            EXPECT_LE(member.member_epoch, group->group_epoch());
            for (const HeldAssignment* part : {&member.assigned, &member.pending_revocation}) {
                for (const auto& [topic, partitions] : *part) {
                    for (const HeldPartition& each : partitions) {
                        const auto [place, is_first] = held.emplace(Partition{topic, each.partition}, member_id);
                        EXPECT_TRUE(is_first) << "held by " << place->second << " and " << member_id;
                        EXPECT_EQ(group->current_partition_epoch(topic, each.partition), member.member_epoch);
                    }
                }
            }
        }
        std::map<Partition, std::string> used;
        for (const auto& client : clients_) {
            if (group->member(client->consumer.id()) == nullptr) continue;  // fenced: its session is over
            for (const Partition& partition : client->consumer.owned) {
                const auto [place, is_first] = used.emplace(partition, client->consumer.id());
                EXPECT_TRUE(is_first) << "used by " << place->second << " and " << client->consumer.id();
                const auto holder = held.find(partition);
                EXPECT_TRUE(holder != held.end() && holder->second == client->consumer.id())
                    << client->consumer.id() << " uses what it does not hold";
            }
        }
    }

    // With nothing but heartbeats everybody gets there, and no partition is left out.
    void settle() {
        for (int round = 0; round < kSettlingRounds && !::testing::Test::HasFailure(); ++round) {
            for (const auto& client : clients_) {
                client->is_lazy = false;
                if (client->is_alive) heartbeat(*client, true);
                check();
            }
            shard_.advance(5'000);
        }
        ConsumerGroup* const group = shard_.group();
        if (group == nullptr) return;
        std::set<std::string> alive;
        std::set<Partition> used, wanted;
        for (const auto& client : clients_) {
            if (!client->is_alive) continue;
            alive.insert(client->consumer.id());
            used.insert(client->consumer.owned.begin(), client->consumer.owned.end());
        }
        EXPECT_EQ(group->members().size(), alive.size());
        EXPECT_EQ(group->state_name(), alive.empty() ? "Empty" : "Stable");
        shard_.image().topics().for_each([&](const metadata::TopicImage& topic) {
            if (!group->is_subscribed_to(topic.name)) return;
            for (std::int32_t i = 0; i < topic.partitions.end(); ++i) wanted.emplace(topic.id, i);
        });
        EXPECT_EQ(used, wanted);
    }

    SeededRandom random_;
    ConsumerShard shard_;
    std::vector<std::unique_ptr<Client>> clients_;
    int incarnations_ = 0;
    std::int32_t group_epoch_ = 0;
    std::int32_t assignment_epoch_ = 0;
};

TEST(ConsumerGroupsSimulationTest, NoPartitionHasTwoOwnersNoneIsLeftOutAndEpochsOnlyGrow) {
    for (std::uint64_t seed = kFirstSeed; seed < kFirstSeed + kHistories; ++seed) {
        SCOPED_TRACE(fmt::format("seed {}", seed));
        History{seed}.run();
        if (HasFailure()) return;
    }
    fmt::print("seeds {} to {}\n", kFirstSeed, kFirstSeed + kHistories - 1);
}

}  // namespace
}  // namespace odr::coordinator::testing
