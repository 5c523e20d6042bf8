#include "metadata/formatter.h"

#include <gtest/gtest.h>

#include "io/simulated_file_system.h"
#include "metadata/meta_properties.h"
#include "raft/snapshot_reader.h"

namespace odr::metadata {

class FormatterTest : public testing::Test {
protected:
    io::MayBlock may_block_ = io::MayBlock::for_test();
    io::SimulatedFileSystem files_;
    ManualClock clock_{1'795'405'141'000};
    SeededRandom random_{1};
    FormatRequest request_;
    std::vector<std::string> printed_;

    void SetUp() override {
        request_.cluster_id = "MkU3OEVBNTcwNTJENDM2Qg";
        request_.node_id = BrokerId{1};
        request_.log_directories = {"/a", "/b"};
        request_.metadata_log_directory = "/a";
        request_.controller_listener = "CONTROLLER";
        request_.is_controller = true;
        request_.controller_endpoint = {"CONTROLLER", "127.0.0.1", 9093};
    }
    // Gives: what went wrong; empty when nothing did.
    std::string format() {
        printed_.clear();
        const auto done = format_directories(may_block_, files_, clock_, random_, request_,
                                             [&](std::string_view line) { printed_.emplace_back(line); });
        return done ? "" : done.error();
    }
    MetaProperties properties_of(const std::string& directory) {
        return *parse_meta_properties(files_.contents(directory + "/meta.properties"));
    }
};

using Lines = std::vector<std::string>;
static constexpr const char* kFirstSnapshot = "/__cluster_metadata-0/00000000000000000000-0000000000.checkpoint";

TEST_F(FormatterTest, StandaloneNamesThisNodeAsTheOnlyVoterByItsDirectory) {
    request_.standalone = true;
    EXPECT_EQ(format(), "");
    EXPECT_EQ(printed_, (Lines{"Formatting dynamic metadata voter directory /a with metadata.version 4.3-IV0.",
                               "Formatting data directory /b with metadata.version 4.3-IV0."}));
    const auto reader = raft::SnapshotReader::open(may_block_, files_, std::string{"/a"} + kFirstSnapshot, {});
    EXPECT_TRUE((*reader)->next(may_block_)->empty());
    EXPECT_EQ((*reader)->kraft_version(), 1);
    ASSERT_EQ((*reader)->voters()->size(), 1U);
    EXPECT_EQ((*reader)->voters()->front().key, (raft::ReplicaKey{BrokerId{1}, *properties_of("/a").directory_id}));
    EXPECT_FALSE(files_.exists(std::string{"/b"} + kFirstSnapshot));
    EXPECT_NE(properties_of("/a").directory_id, properties_of("/b").directory_id);
    EXPECT_EQ(properties_of("/b").cluster_id, "MkU3OEVBNTcwNTJENDM2Qg");
    EXPECT_EQ(read_bootstrap(may_block_, files_, "/b")->records.size(), 6U);
}

TEST_F(FormatterTest, MetaPropertiesAreWrittenAsKafkaDoes) {
    const MetaProperties properties{.version = 1,
                                    .cluster_id = "MkU3OEVBNTcwNTJENDM2Qg",
                                    .node_id = BrokerId{1},
                                    .directory_id = Uuid::parse("C6cAuTjHSF2BZe2IFU-m6w")};
    const std::string text = format_meta_properties(properties, TimestampMs{1'795'405'141'000});
    EXPECT_EQ(text,
              "#\n#Mon Nov 23 03:39:01 UTC 2026\nnode.id=1\ndirectory.id=C6cAuTjHSF2BZe2IFU-m6w\nversion=1\n"
              "cluster.id=MkU3OEVBNTcwNTJENDM2Qg\n");
    EXPECT_EQ(*parse_meta_properties(text), properties);
    EXPECT_FALSE(parse_meta_properties("version=2\n"));
    EXPECT_FALSE(parse_meta_properties("version=1\nnode.id=1\n"));
    EXPECT_EQ(parse_meta_properties("broker.id=3\ncluster.id=x\n")->node_id, BrokerId{3});
}

TEST_F(FormatterTest, AStaticQuorumHasNoFirstSnapshot) {
    request_.has_static_voters = true;
    EXPECT_EQ(format(), "");
    EXPECT_EQ(printed_.front(), "Formatting metadata directory /a with metadata.version 4.3-IV0.");
    EXPECT_FALSE(files_.exists(std::string{"/a"} + kFirstSnapshot));
}

TEST_F(FormatterTest, InitialControllersMayNameOthers) {
    request_.initial_controllers = "2@b:9993:3Db5QLSqSZieL3rJBUUegA,3@c:9998:4Db5QLSqSZieL3rJBUUegA";
    EXPECT_EQ(format(), "");
    EXPECT_EQ(printed_.front(), "Formatting dynamic metadata directory /a with metadata.version 4.3-IV0.");
    request_.log_directories = {"/c"};
    request_.metadata_log_directory = "/c";
    request_.initial_controllers = "1@b:9993:3Db5QLSqSZieL3rJBUUegA";
    EXPECT_EQ(format(), "");
    EXPECT_EQ(properties_of("/c").directory_id, Uuid::parse("3Db5QLSqSZieL3rJBUUegA"));
}

TEST_F(FormatterTest, FormattedDirectoriesAreRefusedUnlessIgnored) {
    request_.standalone = true;
    request_.log_directories = {"/a"};
    EXPECT_EQ(format(), "");
    const std::string before = files_.contents("/a/meta.properties");
    EXPECT_EQ(format(),
              "Log directory /a is already formatted. Use --ignore-formatted to ignore this directory and format the "
              "others.");
    request_.ignore_formatted = true;
    EXPECT_EQ(format(), "");
    EXPECT_EQ(printed_, Lines{"All of the log directories are already formatted."});
    request_.log_directories = {"/a", "/new"};
    EXPECT_EQ(format(), "");
    EXPECT_EQ(printed_, Lines{"Formatting data directory /new with metadata.version 4.3-IV0."});
    EXPECT_EQ(files_.contents("/a/meta.properties"), before);
    request_.cluster_id = "other";
    EXPECT_EQ(format(), "Invalid cluster.id in: /a/meta.properties. Expected other, but read MkU3OEVBNTcwNTJENDM2Qg");
}

TEST_F(FormatterTest, WrongOptionsAreRefusedAsKafkaDoes) {
    EXPECT_EQ(format(),
              "Because controller.quorum.voters is not set on this controller, you must specify one of the following: "
              "--standalone, --initial-controllers, or --no-initial-controllers.");
    request_.standalone = true;
    request_.has_static_voters = true;
    EXPECT_TRUE(format().starts_with("You cannot specify controller.quorum.voters and format the node with"));
    request_.has_static_voters = false;
    request_.features = {"foo=1"};
    EXPECT_EQ(format(),
              "Unsupported feature: foo. Supported features are: eligible.leader.replicas.version, group.version, "
              "kraft.version, share.version, streams.version, transaction.version");
    request_.features = {"group.version=9"};
    EXPECT_EQ(format(), "No feature:group.version with feature level 9");
    request_.features = {"kraft.version=0"};
    EXPECT_TRUE(format().starts_with("Cannot set kraft.version to 0 if controller.quorum.voters is empty"));
    request_.features = {};
    request_.release_version = "3.1";
    EXPECT_TRUE(
        format().starts_with("Unknown metadata.version '3.1'. Supported metadata.version are: 3.3-IV3, 3.4-IV0"));
    request_.release_version = {};
    request_.scram = {"SCRAM-SHA-256=[name=a,password=b]"};
    EXPECT_TRUE(format().starts_with("--add-scram is not served yet"));
    EXPECT_FALSE(files_.exists("/a"));
}

TEST_F(FormatterTest, AnOlderReleaseHasTheFeaturesOfItsTime) {
    request_.standalone = true;
    request_.release_version = "3.9";
    request_.features = {"group.version=1"};
    EXPECT_EQ(format(), "");
    const auto bootstrap = read_bootstrap(may_block_, files_, "/a");
    EXPECT_EQ(bootstrap->metadata_version.name(), "3.9-IV0");
    EXPECT_EQ(bootstrap->records.size(), 2U);
}

TEST_F(FormatterTest, ANodeFormatsItselfOnlyWhereNothingIs) {
    request_.standalone = true;
    EXPECT_TRUE(may_format_itself(files_, request_));
    ASSERT_TRUE(files_.create_directories("/b/lost+found"));
    EXPECT_TRUE(may_format_itself(files_, request_));
    ASSERT_TRUE(files_.create_directories("/b/orders-0"));
    EXPECT_FALSE(may_format_itself(files_, request_));
}

}  // namespace odr::metadata
