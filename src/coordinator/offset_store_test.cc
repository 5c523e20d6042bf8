#include "coordinator/offset_store.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "coordinator/shard_loader.h"

namespace odr::coordinator {
namespace {

using protocol::OffsetCommitRequest;
using protocol::OffsetDeleteRequest;
using protocol::OffsetFetchRequest;

constexpr Uuid kOrdersId{{1}};
constexpr Uuid kOldOrdersId{{2}};

class FakeContext final : public ShardContext {
public:
    TimestampMs now() const override { return clock.now(); }
    const metadata::MetadataImage& image() const override { return *metadata::MetadataImage::empty(); }
    std::shared_ptr<const metadata::MetadataImage> shared_image() const override {
        return metadata::MetadataImage::empty();
    }
    const GroupSettings& settings() const override { return in_force; }
    Random& random() override { return random_; }
    std::string_view name() const override { return "__consumer_offsets-0"; }
    void schedule(std::string_view timer, std::int64_t, TimerOperation) override { timers.emplace_back(timer); }
    void cancel(std::string_view) override {}
    bool is_scheduled(std::string_view timer) const override {
        return std::ranges::find(timers, timer) != timers.end();
    }

    ManualClock clock;
    GroupSettings in_force;
    std::vector<std::string> timers;

private:
    SeededRandom random_{1};
};

// What a group says, as the test wants it.
class FakeGroup final : public Group {
public:
    using Group::Group;
    GroupType type() const override { return GroupType::classic; }
    std::string_view state_name() const override { return "Stable"; }
    std::string_view protocol_type() const override { return "consumer"; }
    Result<void> validate_offset_commit(const OffsetCommitter&) const override { return said(commit); }
    Result<void> validate_partition_commit(const OffsetCommitter&, std::string_view, const Uuid&,
                                           std::int32_t partition) const override {
        return said(partition == 1 ? commit_of_partition_1 : ErrorCode::none);
    }
    Result<void> validate_offset_fetch(std::optional<std::string_view>, std::int32_t) const override {
        return said(fetch);
    }
    Result<void> validate_offset_delete() const override { return said(removal); }
    Result<void> validate_delete_group() const override { return said(removal); }
    void on_offset_commit(std::string_view member_id) override { extended = member_id; }
    void add_tombstones(CoordinatorRecords& records) const override { records.push_back({.key = {0, 2}}); }
    bool is_empty() const override { return empty; }
    bool is_subscribed_to(std::string_view topic) const override { return topic == subscribed; }
    std::optional<OffsetExpiration> offset_expiration() const override { return expiration; }

    ErrorCode commit = ErrorCode::none;
    ErrorCode commit_of_partition_1 = ErrorCode::none;
    ErrorCode fetch = ErrorCode::none;
    ErrorCode removal = ErrorCode::none;
    bool empty = true;
    std::string subscribed;
    std::string extended;
    std::optional<OffsetExpiration> expiration = OffsetExpiration{};

private:
    static Result<void> said(ErrorCode code) {
        if (code == ErrorCode::none) return {};
        return fail(code);
    }
};

class OffsetStoreTest : public testing::Test {
protected:
    FakeGroup& group(std::string id) {
        return static_cast<FakeGroup&>(groups_.put(std::make_unique<FakeGroup>(std::move(id))));
    }
    // Applies records as the runtime does.
    void apply(const CoordinatorRecords& records, ProducerId producer = kNoProducerId) {
        for (const CoordinatorRecord& each : records) {
            const auto value = each.value ? std::optional<ByteView>{*each.value} : std::nullopt;
            auto parsed = parse_record(ByteView{each.key}, value);
            ASSERT_TRUE(parsed);
            parsed->offset = next_offset_;
            parsed->producer_id = producer;
            next_offset_ = next_offset_ + 1;
            const auto done = store_.replay(*parsed);
            ASSERT_TRUE(done) << done.error().what;
        }
    }
    static OffsetCommitRequest request(std::string_view group_id, std::vector<std::int32_t> partitions,
                                       std::int64_t offset, std::string_view metadata = "") {
        OffsetCommitRequest made{.group_id = group_id, .member_id = "m"};
        auto& topic = made.topics.emplace_back(OffsetCommitRequest::OffsetCommitRequestTopic{.name = "orders"});
        topic.topic_id = kOrdersId;
        for (const std::int32_t each : partitions) {
            topic.partitions.push_back({.partition_index = each,
                                        .committed_offset = offset,
                                        .committed_leader_epoch = 4,
                                        .committed_metadata = metadata});
        }
        return made;
    }
    // "0:NONE 1:OFFSET_METADATA_TOO_LARGE ", or the error of it all.
    std::string commit(const OffsetCommitRequest& asked, std::int16_t version = 9,
                       ProducerId producer = kNoProducerId) {
        const auto result = store_.commit(asked, version);
        if (!result) return std::string{to_string(result.error().code)};
        records_written_ = result->records.size();
        apply(result->records, producer);
        std::string told;
        for (const auto& topic : result->response.topics) {
            for (const auto& each : topic.partitions) {
                told += std::to_string(each.partition_index) + ":" +
                        std::string{to_string(ErrorCode{each.error_code})} + " ";
            }
        }
        return told;
    }
    static std::string tell(const Result<CoordinatorResult<OffsetStore::FetchedGroup>>& fetched) {
        if (!fetched) return std::string{to_string(fetched.error().code)};
        std::string told;
        for (const auto& topic : fetched->response.message.topics) {
            for (const auto& each : topic.partitions) {
                told += std::string{topic.name} + "-" + std::to_string(each.partition_index) + "=";
                told += each.error_code != 0 ? std::string{to_string(ErrorCode{each.error_code})}
                                             : std::to_string(each.committed_offset) + "@" +
                                                   std::to_string(each.committed_leader_epoch) +
                                                   std::string{each.metadata.value_or("null")};
                told += " ";
            }
        }
        return told;
    }
    std::string fetch(std::string_view group_id, std::vector<std::int32_t> partitions, bool require_stable = false,
                      Uuid topic_id = {}) {
        OffsetFetchRequest::OffsetFetchRequestGroup asked{.group_id = group_id};
        asked.topics->push_back({.name = "orders", .topic_id = topic_id, .partition_indexes = std::move(partitions)});
        return tell(store_.fetch(asked, require_stable));
    }
    std::string fetch_all(std::string_view group_id, bool require_stable = false) {
        OffsetFetchRequest::OffsetFetchRequestGroup asked{.group_id = group_id};
        asked.topics.reset();
        return tell(store_.fetch(asked, require_stable));
    }
    void expire() {
        const auto result = store_.expire();
        CoordinatorRecords offsets;
        group_tombstones_ = 0;
        for (const CoordinatorRecord& each : result.records) {
            each.key == std::vector<std::uint8_t>{0, 2} ? void(++group_tombstones_) : offsets.push_back(each);
        }
        apply(offsets);
    }

    FakeContext context_;
    GroupRegistry groups_;
    OffsetStore store_{context_, groups_, [this](std::string_view id) { group(std::string{id}); }};
    Offset next_offset_{0};
    std::size_t records_written_ = 0;
    int group_tombstones_ = 0;
};

TEST_F(OffsetStoreTest, ACommitIsFetchedWithItsLeaderEpochAndMetadata) {
    group("g");
    EXPECT_EQ(commit(request("g", {0, 1}, 42, "note")), "0:NONE 1:NONE ");
    EXPECT_EQ(fetch("g", {0, 1, 2}), "orders-0=42@4note orders-1=42@4note orders-2=-1@-1 ");
    EXPECT_EQ(fetch_all("g"), "orders-0=42@4note orders-1=42@4note ");
    EXPECT_EQ(fetch("other", {0}), "orders-0=-1@-1 ");
    EXPECT_EQ(fetch_all("other"), "");
}

struct CommitRow {
    const char* name;
    bool is_there;
    std::int32_t generation;
    std::int16_t version;
    ErrorCode group_says;
    const char* want;
};
constexpr CommitRow kCommits[] = {
    {"the group takes it", true, 3, 9, ErrorCode::none, "0:NONE "},
    {"the group refuses the member", true, 3, 9, ErrorCode::unknown_member_id, "UNKNOWN_MEMBER_ID"},
    {"the group refuses the generation", true, 2, 9, ErrorCode::illegal_generation, "ILLEGAL_GENERATION"},
    {"no group, no generation: a simple group is made", false, -1, 9, ErrorCode::none, "0:NONE "},
    {"no group, a generation, from version 9 on", false, 3, 9, ErrorCode::none, "GROUP_ID_NOT_FOUND"},
    {"no group, a generation, before version 9", false, 3, 8, ErrorCode::none, "ILLEGAL_GENERATION"},
};

TEST_F(OffsetStoreTest, WhoMayCommit) {
    for (const CommitRow& row : kCommits) {
        groups_.erase("g");
        if (row.is_there) group("g").commit = row.group_says;
        OffsetCommitRequest asked = request("g", {0}, 1);
        asked.generation_id_or_member_epoch = row.generation;
        EXPECT_EQ(commit(asked, row.version), row.want) << row.name;
        if (row.is_there && row.group_says == ErrorCode::none) {
            EXPECT_EQ(static_cast<FakeGroup*>(groups_.find("g"))->extended, "m") << row.name;
        }
        EXPECT_EQ(groups_.find("g") != nullptr, row.is_there || std::string_view{row.want} == "0:NONE ") << row.name;
    }
}

TEST_F(OffsetStoreTest, APartitionThatTheGroupRefusesRefusesTheWholeCommit) {
    group("g").commit_of_partition_1 = ErrorCode::stale_member_epoch;
    EXPECT_EQ(commit(request("g", {0, 1}, 1)), "STALE_MEMBER_EPOCH");
    EXPECT_EQ(fetch_all("g"), "");
}

TEST_F(OffsetStoreTest, MetadataIsLimitedInJavasCharactersAndPartitionByPartition) {
    context_.in_force.offset_metadata_max_bytes = 4;
    group("g");
    OffsetCommitRequest asked = request("g", {0}, 1, "\xe6\xb6\x88\xe8\xb2\xbb\xf0\x9f\x98\x80");  // 4 units of UTF-16
    asked.topics[0].partitions.push_back({.partition_index = 1, .committed_offset = 1, .committed_metadata = "12345"});
    asked.topics[0].partitions.push_back({.partition_index = 2, .committed_offset = 1, .committed_metadata = {}});
    EXPECT_EQ(commit(asked), "0:NONE 1:OFFSET_METADATA_TOO_LARGE 2:NONE ");
    EXPECT_EQ(records_written_, 2u);
    EXPECT_EQ(fetch("g", {2}), "orders-2=1@-1 ") << "no metadata is the empty one";
}

TEST_F(OffsetStoreTest, ValuesAreWrittenAsVersion4AndAs1WithAnExpiryOfTheirOwn) {
    group("g");
    auto plain = store_.commit(request("g", {0}, 1), 10);
    ASSERT_TRUE(plain);
    EXPECT_EQ((*plain->records[0].value)[1], 4);
    OffsetCommitRequest old = request("g", {0}, 1);
    old.retention_time_ms = 1'000;
    auto expiring = store_.commit(old, 4);
    ASSERT_TRUE(expiring);
    EXPECT_EQ((*expiring->records[0].value)[1], 1);
    apply(expiring->records);
    EXPECT_EQ(store_.find("g", "orders", 0)->expire_timestamp, TimestampMs{context_.now().raw() + 1'000});
}

TEST_F(OffsetStoreTest, WhatWasCommittedForATopicOfTheSameNameThatIsGoneIsNotFetched) {
    group("g");
    commit(request("g", {0}, 7));
    EXPECT_EQ(fetch("g", {0}, false, kOrdersId), "orders-0=7@4 ");
    EXPECT_EQ(fetch("g", {0}, false, kOldOrdersId), "orders-0=-1@-1 ");
    EXPECT_EQ(fetch("g", {0}), "orders-0=7@4 ") << "asked by name";
}

TEST_F(OffsetStoreTest, AFetchIsRefusedAsTheGroupSaysButADeadGroupJustHasNothing) {
    FakeGroup& asked = group("g");
    commit(request("g", {0}, 7));
    asked.fetch = ErrorCode::stale_member_epoch;
    EXPECT_EQ(fetch("g", {0}), "STALE_MEMBER_EPOCH");
    EXPECT_EQ(fetch_all("g"), "STALE_MEMBER_EPOCH");
    asked.fetch = ErrorCode::group_id_not_found;
    EXPECT_EQ(fetch("g", {0}), "orders-0=-1@-1 ");
    EXPECT_EQ(fetch_all("g"), "");
}

TEST_F(OffsetStoreTest, OffsetsOfAnOpenTransactionAreSeenWhenItCommits) {
    group("g");
    commit(request("g", {0}, 1));
    commit(request("g", {0, 1}, 9), 9, ProducerId{77});
    EXPECT_EQ(fetch("g", {0, 1}), "orders-0=1@4 orders-1=-1@-1 ");
    EXPECT_EQ(fetch("g", {0, 1}, true), "orders-0=UNSTABLE_OFFSET_COMMIT orders-1=UNSTABLE_OFFSET_COMMIT ");
    EXPECT_EQ(fetch_all("g", true), "orders-0=UNSTABLE_OFFSET_COMMIT ");
    store_.replay_end_transaction(ProducerId{77}, true);
    EXPECT_EQ(fetch("g", {0, 1}, true), "orders-0=9@4 orders-1=9@4 ");
}

TEST_F(OffsetStoreTest, OffsetsOfAnAbortedTransactionAreForgotten) {
    group("g");
    commit(request("g", {0}, 9), 9, ProducerId{77});
    store_.replay_end_transaction(ProducerId{78}, true);
    EXPECT_TRUE(store_.has_pending("g", "orders", 0));
    store_.replay_end_transaction(ProducerId{77}, false);
    EXPECT_EQ(fetch("g", {0}, true), "orders-0=-1@-1 ");
}

TEST_F(OffsetStoreTest, APlainCommitAfterATransactionalOneStays) {
    group("g");
    commit(request("g", {0}, 9), 9, ProducerId{77});
    commit(request("g", {0}, 11));
    store_.replay_end_transaction(ProducerId{77}, true);
    EXPECT_EQ(fetch("g", {0}), "orders-0=11@4 ");
}

TEST_F(OffsetStoreTest, ATombstoneEndsWhatTransactionsHold) {
    group("g");
    commit(request("g", {0}, 9), 9, ProducerId{77});
    const auto removed = store_.remove({.group_id = "g", .topics = {{.name = "orders", .partitions = {{0}}}}});
    ASSERT_TRUE(removed);
    apply(removed->records);
    store_.replay_end_transaction(ProducerId{77}, true);
    EXPECT_EQ(fetch("g", {0}), "orders-0=-1@-1 ");
}

TEST_F(OffsetStoreTest, OffsetDeleteRemovesWhatIsThereUnlessTheTopicIsSubscribed) {
    FakeGroup& asked = group("g");
    commit(request("g", {0}, 7));
    const OffsetDeleteRequest wanted{.group_id = "g", .topics = {{.name = "orders", .partitions = {{0}, {1}}}}};
    asked.subscribed = "orders";
    auto refused = store_.remove(wanted);
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->response.topics[0].partitions[0].error_code,
              static_cast<std::int16_t>(ErrorCode::group_subscribed_to_topic));
    EXPECT_TRUE(refused->records.empty());
    asked.subscribed = "";
    auto removed = store_.remove(wanted);
    ASSERT_TRUE(removed);
    EXPECT_EQ(removed->records.size(), 1u) << "nothing to remove of partition 1";
    EXPECT_EQ(removed->response.topics[0].partitions.size(), 2u);
    apply(removed->records);
    EXPECT_EQ(fetch_all("g"), "");
    asked.removal = ErrorCode::non_empty_group;
    EXPECT_EQ(store_.remove(wanted).error().code, ErrorCode::non_empty_group);
    EXPECT_EQ(store_.remove({.group_id = "none"}).error().code, ErrorCode::group_id_not_found);
}

TEST_F(OffsetStoreTest, ADeletedGroupTakesAllItsOffsetsAndThoseOfTransactionsOnce) {
    group("g");
    commit(request("g", {0}, 7));
    commit(request("g", {0, 1}, 9), 9, ProducerId{77});
    CoordinatorRecords records;
    store_.add_tombstones("g", records);
    EXPECT_EQ(records.size(), 2u);
    apply(records);
    EXPECT_EQ(fetch_all("g"), "");
    EXPECT_FALSE(store_.has_pending("g", "orders", 1));
}

struct ExpiryRow {
    const char* name;
    std::int64_t age_ms;  // of the commit; retention is 1000
    std::int64_t own_retention_ms;
    bool is_subscribed;
    bool may_expire;  // offset_expiration() is there
    std::optional<std::int64_t> since_age_ms;
    bool want_expired;
};
constexpr ExpiryRow kExpiries[] = {
    {"young", 999, -1, false, true, {}, false},
    {"old", 1'000, -1, false, true, {}, true},
    {"old but subscribed", 5'000, -1, true, true, {}, false},
    {"old but the group's do not expire", 5'000, -1, false, false, {}, false},
    {"old commit, empty since a moment", 5'000, -1, false, true, 10, false},
    {"empty for long", 5'000, -1, false, true, 1'000, true},
    {"an expiry of its own, before", 999, 2'000, false, true, {}, false},
    {"an expiry of its own beats retention", 1'999, 2'000, false, true, {}, false},
    {"an expiry of its own, reached", 2'000, 2'000, false, true, {}, true},
};

TEST_F(OffsetStoreTest, WhenOffsetsExpire) {
    context_.in_force.offsets_retention_ms = 1'000;
    for (const ExpiryRow& row : kExpiries) {
        FakeGroup& asked = group("g");
        OffsetCommitRequest wanted = request("g", {0}, 1);
        wanted.retention_time_ms = row.own_retention_ms;
        commit(wanted, 4);
        context_.clock.advance_ms(row.age_ms);
        if (row.is_subscribed) asked.subscribed = "orders";
        if (!row.may_expire) asked.expiration.reset();
        if (row.since_age_ms) {
            asked.expiration->since = TimestampMs{context_.now().raw() - *row.since_age_ms};
        }
        expire();
        EXPECT_EQ(fetch_all("g").empty(), row.want_expired) << row.name;
        EXPECT_EQ(group_tombstones_, row.want_expired ? 1 : 0) << row.name;
        CoordinatorRecords rest;
        store_.add_tombstones("g", rest);
        apply(rest);
    }
}

TEST_F(OffsetStoreTest, AGroupGoesWithItsLastOffsetUnlessItHasMembersOrATransaction) {
    context_.in_force.offsets_retention_ms = 1'000;
    FakeGroup& asked = group("g");
    asked.empty = false;
    expire();
    EXPECT_EQ(group_tombstones_, 0);
    asked.empty = true;
    commit(request("g", {0}, 9), 9, ProducerId{77});
    expire();
    EXPECT_EQ(group_tombstones_, 0);
    store_.replay_end_transaction(ProducerId{77}, false);
    expire();
    EXPECT_EQ(group_tombstones_, 1);
}

TEST_F(OffsetStoreTest, OffsetsOfADeletedTopicGoButNotThoseOfItsSuccessor) {
    group("g");
    commit(request("g", {0, 1}, 7));
    EXPECT_TRUE(store_.topics_deleted({{kOldOrdersId, "orders"}}).records.empty());
    const auto gone = store_.topics_deleted({{kOrdersId, "orders"}});
    EXPECT_FALSE(gone.is_atomic);
    apply(gone.records);
    EXPECT_EQ(fetch_all("g"), "");
}

TEST_F(OffsetStoreTest, RecordsOfOtherTypesAreLeftToOtherParts) {
    EXPECT_EQ(store_.replay({.key_type = 2}), false);
    EXPECT_EQ(store_.replay({.key_type = 99}), false);
}

TEST_F(OffsetStoreTest, ALoadedStorePlansItsExpiry) {
    store_.on_loaded();
    EXPECT_TRUE(context_.is_scheduled("expire-group-metadata"));
}

}  // namespace
}  // namespace odr::coordinator
