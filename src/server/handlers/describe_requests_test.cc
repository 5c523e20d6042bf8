#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "server/handlers/describe_client_quotas.h"
#include "server/handlers/describe_log_dirs.h"
#include "server/handlers/describe_quorum.h"
#include "server/handlers/describe_user_scram_credentials.h"
#include "server/handlers/test_cluster.h"

// DescribeClientQuotas, DescribeUserScramCredentials, DescribeLogDirs, DescribeQuorum.
namespace odr::server {
namespace {

using metadata::ScramMechanism;
using testing::name_of;
using testing::TestCluster;

// --- DescribeClientQuotas

class DescribeClientQuotasTest : public ::testing::Test {
protected:
    using Component = protocol::DescribeClientQuotasRequest::ComponentData;
    static constexpr std::int8_t kExact = 0, kDefault = 1, kAny = 2;

    DescribeClientQuotasTest() {
        cluster_.quota({{"user", "alice"}}, "producer_byte_rate", 100);
        cluster_.quota({{"user", std::nullopt}}, "producer_byte_rate", 10);
        cluster_.quota({{"user", "alice"}, {"client-id", "c"}}, "request_percentage", 50);
        cluster_.quota({{"ip", "10.0.0.1"}}, "connection_creation_rate", 5);
    }
    // Entities, sorted; or the error.
    std::string ask(std::vector<Component> components, bool strict = false) {
        const auto answer = answer_describe_client_quotas({.components = std::move(components), .strict = strict},
                                                          cluster_.image().client_quotas());
        if (answer.response.error_code != 0) {
            EXPECT_FALSE(answer.response.entries.has_value());
            EXPECT_FALSE(answer.response.error_message->empty());
            return name_of(answer.response.error_code);
        }
        std::vector<std::string> entries;
        for (const auto& entry : *answer.response.entries) {
            std::string text;
            for (const auto& part : entry.entity) {
                text += fmt::format("{}:{},", part.entity_type, part.entity_name.value_or("<default>"));
            }
            entries.push_back(text + fmt::format("{}={}", entry.values.at(0).key, entry.values.at(0).value));
        }
        std::ranges::sort(entries);
        return fmt::format("{}", fmt::join(entries, " "));
    }
    TestCluster cluster_;
};

TEST_F(DescribeClientQuotasTest, AnEmptyFilterMatchesAll) {
    EXPECT_EQ(ask({}),
              "client-id:c,user:alice,request_percentage=50 ip:10.0.0.1,connection_creation_rate=5 "
              "user:<default>,producer_byte_rate=10 user:alice,producer_byte_rate=100");
}

TEST_F(DescribeClientQuotasTest, NamesMatchExactlyByDefaultOrAtAll) {
    EXPECT_EQ(ask({{"user", kExact, "alice"}}, true), "user:alice,producer_byte_rate=100");
    EXPECT_EQ(ask({{"user", kExact, "alice"}}),
              "client-id:c,user:alice,request_percentage=50 user:alice,producer_byte_rate=100");
    EXPECT_EQ(ask({{"user", kDefault, std::nullopt}}), "user:<default>,producer_byte_rate=10");
    EXPECT_EQ(ask({{"client-id", kAny, std::nullopt}}), "client-id:c,user:alice,request_percentage=50");
    EXPECT_EQ(ask({{"user", kExact, "bob"}}), "");
}

TEST_F(DescribeClientQuotasTest, FiltersThatMakeNoSenseAreRefused) {
    EXPECT_EQ(ask({{"", kExact, "a"}}), "INVALID_REQUEST");
    EXPECT_EQ(ask({{"user", kExact, "a"}, {"user", kAny, std::nullopt}}), "INVALID_REQUEST");
    EXPECT_EQ(ask({{"group", kExact, "a"}}), "UNSUPPORTED_VERSION");
    EXPECT_EQ(ask({{"user", kExact, std::nullopt}}), "INVALID_REQUEST");
    EXPECT_EQ(ask({{"user", kDefault, "a"}}), "INVALID_REQUEST");
    EXPECT_EQ(ask({{"user", kAny, "a"}}), "INVALID_REQUEST");
    EXPECT_EQ(ask({{"user", 9, "a"}}), "INVALID_REQUEST");
    EXPECT_EQ(ask({{"ip", kAny, std::nullopt}, {"user", kAny, std::nullopt}}), "INVALID_REQUEST");
}

// --- DescribeUserScramCredentials

TEST(DescribeUserScramCredentials, TellsKindsAndIterationsAndWhoIsUnknownOrNamedTwice) {
    TestCluster cluster;
    cluster.scram("alice", ScramMechanism::scram_sha_256, 4096).scram("alice", ScramMechanism::scram_sha_512, 8192);
    cluster.scram("bob", ScramMechanism::scram_sha_512, 4096);
    const auto ask = [&](std::optional<std::vector<std::string_view>> users) {
        protocol::DescribeUserScramCredentialsRequest request;
        request.users = std::nullopt;
        if (users) {
            request.users.emplace();
            for (const std::string_view user : *users) request.users->push_back({user});
        }
        std::string text;
        const auto answer = answer_describe_user_scram_credentials(request, cluster.image().scram());
        for (const auto& result : answer.response.results) {
            text += fmt::format("{}:{}", result.user, result.error_code == 0 ? "" : name_of(result.error_code));
            for (const auto& info : result.credential_infos) {
                text += fmt::format("{}/{},", static_cast<int>(info.mechanism), info.iterations);
            }
            text += " ";
        }
        return text;
    };
    EXPECT_EQ(ask(std::nullopt), "alice:1/4096,2/8192, bob:2/4096, ");
    EXPECT_EQ(ask(std::vector<std::string_view>{}), "alice:1/4096,2/8192, bob:2/4096, ");
    EXPECT_EQ(ask(std::vector<std::string_view>{"bob", "carol", "alice", "alice"}),
              "alice:DUPLICATE_RESOURCE bob:2/4096, carol:RESOURCE_NOT_FOUND ");
}

// --- DescribeLogDirs

class DescribeLogDirsTest : public ::testing::Test {
protected:
    DescribeLogDirsTest() {
        dirs_.push_back({.dir = {.path = "/a", .total_bytes = 100, .usable_bytes = 40},
                         .is_cordoned = true,
                         .logs = {{{"orders", PartitionIndex{0}}, 7},
                                  {{"orders", PartitionIndex{1}}, 8},
                                  {{"clicks", PartitionIndex{0}}, 9}}});
        dirs_.push_back({.dir = {.path = "/b", .offline = true}, .logs = {}});
    }
    std::string ask(const protocol::DescribeLogDirsRequest& request) {
        std::string text;
        for (const auto& result : answer_describe_log_dirs(request, dirs_).results) {
            text += fmt::format("{} {} {}/{}{}", result.log_dir, name_of(result.error_code), result.usable_bytes,
                                result.total_bytes, result.is_cordoned ? " cordoned" : "");
            for (const auto& topic : result.topics) {
                for (const auto& partition : topic.partitions) {
                    text += fmt::format(" {}-{}={}", topic.name, partition.partition_index, partition.partition_size);
                    if (partition.is_future_key) text += fmt::format(" (future, lag {})", partition.offset_lag);
                }
            }
            text += "\n";
        }
        return text;
    }
    std::vector<LogDirContents> dirs_;
};

TEST_F(DescribeLogDirsTest, ANullListMeansAllLogsAndAnOfflineDirectoryIsAnError) {
    protocol::DescribeLogDirsRequest all;
    all.topics = std::nullopt;
    EXPECT_EQ(ask(all),
              "/a NONE 40/100 cordoned clicks-0=9 orders-0=7 orders-1=8\n"
              "/b KAFKA_STORAGE_ERROR -1/-1\n");
}

TEST_F(DescribeLogDirsTest, AFutureLogIsToldWithItsLag) {
    dirs_[1] = {.dir = {.path = "/b"}, .logs = {{{"orders", PartitionIndex{0}}, 5, 20, true}}};
    protocol::DescribeLogDirsRequest some;
    some.topics->push_back({.topic = "orders", .partitions = {0}});
    EXPECT_EQ(ask(some),
              "/a NONE 40/100 cordoned orders-0=7\n"
              "/b NONE 0/0 orders-0=5 (future, lag 20)\n");
}

TEST_F(DescribeLogDirsTest, OnlyThePartitionsAskedForAreGiven) {
    protocol::DescribeLogDirsRequest some;
    some.topics->push_back({.topic = "orders", .partitions = {1, 2}});
    EXPECT_EQ(ask(some),
              "/a NONE 40/100 cordoned orders-1=8\n"
              "/b KAFKA_STORAGE_ERROR -1/-1\n");
}

// --- DescribeQuorum

class DescribeQuorumTest : public ::testing::Test {
protected:
    DescribeQuorumTest() {
        quorum_.leader = BrokerId{1};
        quorum_.leader_epoch = LeaderEpoch{4};
        quorum_.high_watermark = Offset{50};
        quorum_.voters.push_back({.key = {BrokerId{1}, testing::uuid(5)}, .endpoints = {{"CONTROLLER", "h", 9093}}});
        quorum_.current_voters.push_back({.key = {BrokerId{1}, testing::uuid(5)}, .log_end_offset = Offset{51}});
    }
    static protocol::DescribeQuorumRequest about(std::string_view topic, std::int32_t partition) {
        protocol::DescribeQuorumRequest request;
        request.topics.push_back({.topic_name = topic, .partitions = {{.partition_index = partition}}});
        return request;
    }
    raft::QuorumInfo quorum_;
};

TEST_F(DescribeQuorumTest, TheLeaderDescribesItsVoters) {
    const auto response = answer_describe_quorum(about("__cluster_metadata", 0), quorum_, BrokerId{1});
    const auto& partition = response.topics.at(0).partitions.at(0);
    EXPECT_EQ(partition.error_code, 0);
    EXPECT_EQ(partition.leader_epoch, 4);
    EXPECT_EQ(partition.high_watermark, 50);
    EXPECT_EQ(partition.current_voters.at(0).log_end_offset, 51);
    EXPECT_EQ(partition.current_voters.at(0).replica_directory_id, testing::uuid(5));
    EXPECT_EQ(response.nodes.at(0).listeners.at(0).port, 9093);
}

TEST_F(DescribeQuorumTest, AnythingButTheMetadataLogIsUnknown) {
    for (const auto& request : {about("orders", 0), about("__cluster_metadata", 1)}) {
        const auto response = answer_describe_quorum(request, quorum_, BrokerId{1});
        EXPECT_EQ(name_of(response.topics.at(0).partitions.at(0).error_code), "UNKNOWN_TOPIC_OR_PARTITION");
    }
}

TEST_F(DescribeQuorumTest, WhoDoesNotLeadSaysSo) {
    const auto response = answer_describe_quorum(about("__cluster_metadata", 0), quorum_, BrokerId{2});
    EXPECT_EQ(name_of(response.topics.at(0).partitions.at(0).error_code), "NOT_LEADER_OR_FOLLOWER");
}

}  // namespace
}  // namespace odr::server
