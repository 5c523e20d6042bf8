#include "metadata/delta.h"

#include <gtest/gtest.h>

#include "metadata/image_writer.h"
#include "metadata/test_records.h"
#include "protocol/generated/access_control_entry_record.h"
#include "protocol/generated/clear_elr_record.h"
#include "protocol/generated/client_quota_record.h"
#include "protocol/generated/delegation_token_record.h"
#include "protocol/generated/feature_level_record.h"
#include "protocol/generated/fence_broker_record.h"
#include "protocol/generated/no_op_record.h"
#include "protocol/generated/producer_ids_record.h"
#include "protocol/generated/register_controller_record.h"
#include "protocol/generated/remove_access_control_entry_record.h"
#include "protocol/generated/remove_delegation_token_record.h"
#include "protocol/generated/remove_user_scram_credential_record.h"
#include "protocol/generated/unfence_broker_record.h"
#include "protocol/generated/unregister_broker_record.h"
#include "protocol/generated/user_scram_credential_record.h"
#include "protocol/generated/zk_migration_state_record.h"

namespace odr::metadata {

using namespace testing_records;
using Image = std::shared_ptr<const MetadataImage>;

// Applies records, framed and read again, to the image at hand.
class MetadataDeltaTest : public testing::Test {
protected:
    Image before_ = MetadataImage::empty();
    Image after_ = MetadataImage::empty();
    MetadataChanges changes_;

    template <class... Records>
    Result<void> apply(const Records&... records) {
        MetadataDelta delta{after_};
        Result<void> done;
        const auto one = [&](const auto& record) {
            RecordList list;
            list.add(record, record.kMaxVersion);
            if (done) done = delta.replay(list[0]);
        };
        (one(records), ...);
        ODR_CHECK(done);
        before_ = after_;
        after_ = delta.apply({.last_contained_offset = before_->offset() + 1});
        changes_ = delta.changes();
        return {};
    }
    const PartitionRegistration* partition_of(const Uuid& topic, std::int32_t index) {
        const TopicImage* found = after_->topics().find(topic);
        return found == nullptr ? nullptr : found->partition(PartitionIndex{index});
    }
    template <class... Records>
    ErrorCode refusal(const Records&... records) {
        const auto done = apply(records...);
        return done ? ErrorCode::none : done.error().code;
    }
};

// --- topics

TEST_F(MetadataDeltaTest, ANewTopicIsFoundByNameAndById) {
    ASSERT_TRUE(apply(topic("orders", id(1)), partition(id(1), 0, {1, 2}, 1), partition(id(1), 1, {2, 1}, 2)));
    const TopicImage* found = after_->topics().find("orders");
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found, after_->topics().find(id(1)));
    EXPECT_EQ(found->partitions.size(), 2U);
    EXPECT_EQ(after_->topics().partition_count, 2);
    EXPECT_EQ(after_->topics().partition("orders", PartitionIndex{1})->leader, BrokerId{2});
    EXPECT_EQ(after_->topics().partition("orders", PartitionIndex{2}), nullptr);
    EXPECT_EQ(after_->topics().partition("orders", PartitionIndex{-1}), nullptr);
    EXPECT_TRUE(changes_.created_topics.contains(id(1)));
    EXPECT_EQ(before_->topics().find("orders"), nullptr) << "the image before stays as it was";
}

TEST_F(MetadataDeltaTest, APartitionChangeTouchesWhatItNamesAndRaisesEpochs) {
    ASSERT_TRUE(apply(topic("t", id(1)), partition(id(1), 0, {1, 2}, 1), partition(id(1), 1, {1, 2}, 1)));
    auto shrink = change(id(1), 0);
    shrink.isr = std::vector<std::int32_t>{2};
    shrink.leader = 2;
    shrink.eligible_leader_replicas = std::vector<std::int32_t>{1};
    ASSERT_TRUE(apply(shrink));
    const PartitionRegistration* now = partition_of(id(1), 0);
    EXPECT_EQ(now->isr, std::vector{BrokerId{2}});
    EXPECT_EQ(now->leader, BrokerId{2});
    EXPECT_EQ(now->elr, std::vector{BrokerId{1}});
    EXPECT_EQ(now->leader_epoch, LeaderEpoch{1});
    EXPECT_EQ(now->partition_epoch, 1);
    EXPECT_EQ(now->replicas.size(), 2U);
    const TopicImage* was = before_->topics().find("t");
    EXPECT_EQ(was->partition(PartitionIndex{0})->leader, BrokerId{1});
    EXPECT_EQ(was->partition(PartitionIndex{1}), partition_of(id(1), 1)) << "the other partition is shared";
    auto isr = change(id(1), 0);
    isr.isr = std::vector<std::int32_t>{2, 1};
    ASSERT_TRUE(apply(isr));
    EXPECT_EQ(partition_of(id(1), 0)->leader_epoch, LeaderEpoch{1}) << "only a leader change raises it";
    EXPECT_EQ(partition_of(id(1), 0)->partition_epoch, 2);
    EXPECT_TRUE(changes_.created_topics.empty());
    EXPECT_TRUE(changes_.changed_topics.contains(id(1)));
}

TEST_F(MetadataDeltaTest, ARemovedTopicTakesItsConfigsWithIt) {
    ASSERT_TRUE(apply(topic("t", id(1)), partition(id(1), 0, {1}, 1),
                      config(ConfigResourceType::topic, "t", "retention.ms", "5")));
    ASSERT_TRUE(apply(remove(id(1))));
    EXPECT_EQ(after_->topics().find("t"), nullptr);
    EXPECT_EQ(after_->topics().partition_count, 0);
    EXPECT_TRUE(after_->configs().resources.empty());
    EXPECT_EQ(changes_.deleted_topics.at(id(1)), "t");
    EXPECT_TRUE(changes_.configs.contains({ConfigResourceType::topic, "t"}));
}

TEST_F(MetadataDeltaTest, ATopicMadeAndRemovedInOneDeltaLeavesNoTrace) {
    ASSERT_TRUE(apply(topic("t", id(1)), partition(id(1), 0, {1}, 1), remove(id(1))));
    EXPECT_TRUE(changes_.empty());
    EXPECT_EQ(after_->topics().partition_count, 0);
}

TEST_F(MetadataDeltaTest, ATopicMadeAgainUnderItsNameIsAnotherOne) {
    ASSERT_TRUE(apply(topic("t", id(1)), partition(id(1), 0, {1}, 1)));
    ASSERT_TRUE(apply(remove(id(1)), topic("t", id(2)), partition(id(2), 0, {1}, 1)));
    EXPECT_EQ(after_->topics().find("t")->id, id(2));
    EXPECT_TRUE(changes_.deleted_topics.contains(id(1)));
    EXPECT_TRUE(changes_.created_topics.contains(id(2)));
}

TEST_F(MetadataDeltaTest, PartitionsWithoutDirectoriesCountAsMigrating) {
    auto record = partition(id(1), 0, {1, 2}, 1);
    record.directories.clear();
    ASSERT_TRUE(apply(topic("t", id(1)), record));
    EXPECT_EQ(partition_of(id(1), 0)->directories, (std::vector{kMigratingDirectory, kMigratingDirectory}));
}

TEST_F(MetadataDeltaTest, ClearElrForgetsEligibleLeadersOfOneTopicOrOfAll) {
    auto first = partition(id(1), 0, {1, 2}, 1);
    first.eligible_leader_replicas = std::vector<std::int32_t>{2};
    auto second = partition(id(2), 0, {1, 2}, 1);
    second.last_known_elr = std::vector<std::int32_t>{2};
    ASSERT_TRUE(apply(topic("a", id(1)), first, topic("b", id(2)), second));
    protocol::ClearElrRecord clear;
    clear.topic_name = "a";
    ASSERT_TRUE(apply(clear));
    EXPECT_TRUE(partition_of(id(1), 0)->elr.empty());
    EXPECT_FALSE(partition_of(id(2), 0)->last_known_elr.empty());
    clear.topic_name = "";
    ASSERT_TRUE(apply(clear));
    EXPECT_TRUE(partition_of(id(2), 0)->last_known_elr.empty());
    EXPECT_EQ(changes_.changed_topics.size(), 1U);
}

TEST_F(MetadataDeltaTest, RecordsThatDoNotFitTheStateAreRefused) {
    ASSERT_TRUE(apply(topic("t", id(1)), partition(id(1), 0, {1}, 1), broker(1, 5)));
    EXPECT_EQ(refusal(partition(id(9), 0, {1}, 1)), ErrorCode::invalid_record);
    EXPECT_EQ(refusal(change(id(1), 3)), ErrorCode::invalid_record);
    EXPECT_EQ(refusal(change(id(9), 0)), ErrorCode::invalid_record);
    EXPECT_EQ(refusal(remove(id(9))), ErrorCode::invalid_record);
    EXPECT_EQ(refusal(topic("t", id(1))), ErrorCode::invalid_record);
    EXPECT_EQ(refusal(partition(id(1), -1, {1}, 1)), ErrorCode::invalid_record);
    EXPECT_EQ(refusal(partition(id(1), PartitionMap::kIndexMax + 1, {1}, 1)), ErrorCode::invalid_record);
    auto two_directories = partition(id(1), 1, {1}, 1);
    two_directories.directories.push_back(id(3));
    EXPECT_EQ(refusal(two_directories), ErrorCode::invalid_record);
    protocol::FenceBrokerRecord fence;
    fence.id = 1;
    fence.epoch = 4;
    EXPECT_EQ(refusal(fence), ErrorCode::invalid_record) << "another epoch of the broker";
    protocol::RemoveAccessControlEntryRecord acl;
    acl.id = id(1);
    EXPECT_EQ(refusal(acl), ErrorCode::invalid_record);
    protocol::FeatureLevelRecord feature;
    feature.name = "metadata.version";
    feature.feature_level = 31;
    EXPECT_EQ(refusal(feature), ErrorCode::unsupported_version);
}

TEST_F(MetadataDeltaTest, UnknownTypesAndVersionsOfTheFutureAreRefused) {
    MetadataDelta delta{after_};
    const std::vector<std::uint8_t> unknown_type = {1, 99, 0, 0};
    EXPECT_EQ(delta.replay(unknown_type).error().code, ErrorCode::invalid_record);
    const std::vector<std::uint8_t> future_topic = {1, 2, 1, 0};
    EXPECT_EQ(delta.replay(future_topic).error().code, ErrorCode::unsupported_version);
    EXPECT_FALSE(delta.replay(ByteView{}));
}

// --- the rest

TEST_F(MetadataDeltaTest, BrokersRegisterChangeAndGo) {
    ASSERT_TRUE(apply(broker(1, 5), broker(2, 6)));
    const BrokerRegistration* one = after_->cluster().broker(BrokerId{1});
    ASSERT_NE(one, nullptr);
    EXPECT_TRUE(one->fenced);
    EXPECT_EQ(one->listener("PLAINTEXT")->port, 9092);
    EXPECT_EQ(one->listener("SSL"), nullptr);
    EXPECT_EQ(one->directories, (std::vector{id(8), id(9)})) << "sorted";
    EXPECT_FALSE(after_->cluster().is_active(BrokerId{1}));

    protocol::BrokerRegistrationChangeRecord record;
    record.broker_id = 1;
    record.broker_epoch = 5;
    record.fenced = -1;
    record.cordoned_log_dirs = std::vector{id(8)};
    ASSERT_TRUE(apply(record));
    EXPECT_EQ(changes_.brokers, std::set{BrokerId{1}});
    EXPECT_TRUE(after_->cluster().is_active(BrokerId{1}));
    EXPECT_EQ(after_->cluster().broker(BrokerId{1})->cordoned_directories, std::vector{id(8)});
    EXPECT_FALSE(before_->cluster().is_active(BrokerId{1}));
    EXPECT_EQ(before_->cluster().broker(BrokerId{2}), after_->cluster().broker(BrokerId{2})) << "shared";

    record = {};
    record.broker_id = 1;
    record.broker_epoch = 5;
    record.in_controlled_shutdown = 1;
    ASSERT_TRUE(apply(record));
    EXPECT_TRUE(after_->cluster().broker(BrokerId{1})->in_controlled_shutdown);
    EXPECT_TRUE(after_->cluster().is_active(BrokerId{1})) << "0 changes nothing";

    protocol::FenceBrokerRecord fence;
    fence.id = 2;
    fence.epoch = 6;
    protocol::UnfenceBrokerRecord unfence;
    unfence.id = 2;
    unfence.epoch = 6;
    ASSERT_TRUE(apply(unfence));
    EXPECT_TRUE(after_->cluster().is_active(BrokerId{2}));
    ASSERT_TRUE(apply(fence));
    EXPECT_FALSE(after_->cluster().is_active(BrokerId{2}));
    protocol::UnregisterBrokerRecord gone;
    gone.broker_id = 2;
    ASSERT_TRUE(apply(gone));
    EXPECT_EQ(after_->cluster().broker(BrokerId{2}), nullptr);
}

TEST_F(MetadataDeltaTest, ConfigsAreSetAndUnset) {
    ASSERT_TRUE(apply(config(ConfigResourceType::broker, "", "a", "1"),
                      config(ConfigResourceType::broker, "", "b", "2"),
                      config(ConfigResourceType::broker, "1", "a", "3")));
    EXPECT_EQ(after_->configs().find(ConfigResourceType::broker, "").at("b"), "2");
    EXPECT_EQ(after_->configs().find(ConfigResourceType::broker, "1").at("a"), "3");
    EXPECT_TRUE(after_->configs().find(ConfigResourceType::topic, "1").empty());
    ASSERT_TRUE(apply(config(ConfigResourceType::broker, "1", "a", std::nullopt)));
    EXPECT_EQ(after_->configs().resources.size(), 1U) << "an empty resource is none";
    EXPECT_EQ(changes_.configs, (std::set{ConfigResource{ConfigResourceType::broker, "1"}}));
}

TEST_F(MetadataDeltaTest, QuotasOfUsersAndDefaultsAreKeptApart) {
    protocol::ClientQuotaRecord record;
    record.entity.push_back({"user", std::optional<std::string_view>{"alice"}});
    record.entity.push_back({"client-id", std::nullopt});
    record.key = "producer_byte_rate";
    record.value = 1024;
    ASSERT_TRUE(apply(record));
    const ClientQuotaEntity entity{{"user", "alice"}, {"client-id", std::nullopt}};
    const auto* quotas = after_->client_quotas().entities.find(entity);
    ASSERT_NE(quotas, nullptr);
    EXPECT_EQ((*quotas)->at("producer_byte_rate"), 1024);
    record.remove = true;
    ASSERT_TRUE(apply(record));
    EXPECT_TRUE(after_->client_quotas().entities.empty());
}

TEST_F(MetadataDeltaTest, FeaturesOfLevelZeroAreGone) {
    protocol::FeatureLevelRecord record;
    record.name = "group.version";
    record.feature_level = 1;
    ASSERT_TRUE(apply(record));
    EXPECT_EQ(after_->features().level("group.version"), 1);
    record.feature_level = 0;
    ASSERT_TRUE(apply(record));
    EXPECT_TRUE(after_->features().finalized.empty());
    record.name = "metadata.version";
    record.feature_level = 22;
    ASSERT_TRUE(apply(record));
    EXPECT_EQ(after_->features().metadata_version.name(), "4.0-IV0");
    EXPECT_TRUE(changes_.features);
}

TEST_F(MetadataDeltaTest, AnAclAddedAndRemovedInOneDeltaLeavesNoTrace) {
    protocol::AccessControlEntryRecord add;
    add.id = id(1);
    add.principal = "User:bob";
    protocol::RemoveAccessControlEntryRecord gone;
    gone.id = id(1);
    ASSERT_TRUE(apply(add, gone));
    EXPECT_TRUE(changes_.acls.empty());
    ASSERT_TRUE(apply(add));
    EXPECT_EQ((*after_->acls().acls.find(id(1)))->principal, "User:bob");
    ASSERT_TRUE(apply(gone));
    EXPECT_TRUE(changes_.acls.contains(id(1)));
}

TEST_F(MetadataDeltaTest, RecordsThatChangeNothingChangeNothing) {
    ASSERT_TRUE(apply(protocol::NoOpRecord{}));
    EXPECT_TRUE(changes_.empty());
}

// --- what a broker does about it

TEST_F(MetadataDeltaTest, LocalChangesAreLeadersFollowersAndDeletes) {
    const auto local = [&] { return local_changes(changes_, *before_, *after_, BrokerId{1}); };
    ASSERT_TRUE(apply(topic("t", id(1)), partition(id(1), 0, {1, 2}, 1), partition(id(1), 1, {2, 1}, 2),
                      partition(id(1), 2, {2, 3}, 2)));
    EXPECT_EQ(local().leaders.size(), 1U);
    EXPECT_EQ(local().elected.size(), 1U);
    EXPECT_EQ(local().followers.size(), 1U);
    EXPECT_TRUE(local().deletes.empty());

    auto isr = change(id(1), 0);
    isr.isr = std::vector<std::int32_t>{1};
    auto moved = change(id(1), 1);
    moved.replicas = std::vector<std::int32_t>{2, 3};
    moved.directories = std::vector<Uuid>{id(1), id(2)};
    ASSERT_TRUE(apply(isr, moved));
    ASSERT_EQ(local().leaders.size(), 1U);
    EXPECT_EQ(local().leaders[0].index, PartitionIndex{0});
    EXPECT_TRUE(local().elected.empty()) << "the same leader, the same leader epoch";
    ASSERT_EQ(local().deletes.size(), 1U);
    EXPECT_EQ(local().deletes[0].index, PartitionIndex{1});

    ASSERT_TRUE(apply(remove(id(1))));
    EXPECT_EQ(local().deletes.size(), 1U) << "of the three only partition 0 was here";
}

// --- snapshots

class ImageWriterTest : public MetadataDeltaTest {
protected:
    Result<void> fill() {
        protocol::FeatureLevelRecord version;
        version.name = "metadata.version";
        version.feature_level = 30;
        protocol::FeatureLevelRecord group;
        group.name = "group.version";
        group.feature_level = 1;
        protocol::RegisterControllerRecord controller;
        controller.controller_id = 3;
        controller.incarnation_id = id(3);
        controller.end_points.push_back({"CONTROLLER", "h", 9093, 0});
        auto elr = partition(id(1), 0, {1, 2}, -1);
        elr.eligible_leader_replicas = std::vector<std::int32_t>{1};
        elr.leader_recovery_state = 1;
        protocol::ClientQuotaRecord quota;
        quota.entity.push_back({"user", std::nullopt});
        quota.key = "request_percentage";
        quota.value = 12.5;
        protocol::ProducerIdsRecord ids;
        ids.next_producer_id = 3000;
        protocol::AccessControlEntryRecord acl;
        acl.id = id(4);
        acl.principal = "User:bob";
        const std::vector<std::uint8_t> secret = {1, 2, 3};
        protocol::UserScramCredentialRecord scram;
        scram.name = "alice";
        scram.mechanism = 2;
        scram.salt = scram.stored_key = scram.server_key = secret;
        scram.iterations = 4096;
        protocol::DelegationTokenRecord token;
        token.token_id = "tok";
        token.owner = "User:alice";
        token.renewers = {"User:bob"};
        return apply(version, group, broker(1, 5), controller, topic("t", id(1)), elr, partition(id(1), 1, {2}, 2),
                     config(ConfigResourceType::topic, "t", "a", "1"),
                     config(ConfigResourceType::client_metrics, "m", "b", ""), quota, ids, acl, scram, token);
    }
};

static std::vector<std::string> sorted_records(const MetadataImage& image) {
    const auto list = image_records(image);
    std::vector<std::string> records;
    for (std::size_t i = 0; i < list->size(); ++i) records.emplace_back(as_text((*list)[i]));
    std::ranges::sort(records);
    return records;
}

TEST_F(ImageWriterTest, WhatIsWrittenReadsBackAsTheSameImage) {
    ASSERT_TRUE(fill());
    const auto records = image_records(*after_);
    ASSERT_TRUE(records);
    MetadataDelta delta{MetadataImage::empty()};
    delta.begin_snapshot();
    for (std::size_t i = 0; i < records->size(); ++i) ASSERT_TRUE(delta.replay((*records)[i])) << i;
    delta.finish_snapshot();
    const Image again = delta.apply({});
    EXPECT_EQ(sorted_records(*again), sorted_records(*after_));
    EXPECT_EQ(again->features(), after_->features());
    EXPECT_EQ(*again->topics().partition("t", PartitionIndex{0}), *after_->topics().partition("t", PartitionIndex{0}));
    EXPECT_EQ(*again->cluster().broker(BrokerId{1}), *after_->cluster().broker(BrokerId{1}));
    EXPECT_EQ(again->scram().find(ScramMechanism::scram_sha_512, "alice")->iterations, 4096);
    EXPECT_EQ((*again->delegation_tokens().tokens.find("tok"))->renewers, std::vector<std::string>{"User:bob"});
}

TEST_F(ImageWriterTest, ASnapshotOfTheSameStateChangesNothing) {
    ASSERT_TRUE(fill());
    const auto records = image_records(*after_);
    MetadataDelta delta{after_};
    delta.begin_snapshot();
    for (std::size_t i = 0; i < records->size(); ++i) ASSERT_TRUE(delta.replay((*records)[i]));
    delta.finish_snapshot();
    EXPECT_TRUE(delta.changes().is_snapshot);
    EXPECT_TRUE(delta.changes().empty());
}

TEST_F(ImageWriterTest, WhatASnapshotDoesNotNameIsGone) {
    ASSERT_TRUE(fill());
    MetadataDelta delta{after_};
    delta.begin_snapshot();
    ASSERT_TRUE(delta.replay(broker(2, 7)));
    delta.finish_snapshot();
    const MetadataChanges& changes = delta.changes();
    EXPECT_EQ(changes.brokers, (std::set{BrokerId{1}, BrokerId{2}}));
    EXPECT_EQ(changes.controllers, (std::set{BrokerId{3}}));
    EXPECT_EQ(changes.deleted_topics.at(id(1)), "t");
    EXPECT_EQ(changes.configs.size(), 2U);
    EXPECT_EQ(changes.acls.size(), 1U);
    EXPECT_EQ(changes.scram.size(), 1U);
    EXPECT_EQ(changes.delegation_tokens.size(), 1U);
    EXPECT_EQ(changes.client_quotas.size(), 1U);
    EXPECT_TRUE(changes.features);
    EXPECT_TRUE(changes.producer_ids);
}

}  // namespace odr::metadata
