#include "server/fetch_session.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/clock.h"

namespace odr::server {
namespace {

using protocol::FetchRequest;

constexpr std::int16_t kByName = 12;
constexpr std::int16_t kById = 13;
constexpr ByteView kNoBytes{};

// A client with one session; partitions of the topic "t", or of the topic with id 7.
class FetchSessionTest : public testing::Test {
protected:
    FetchRequest request(std::int32_t session_id, std::int32_t epoch, std::vector<std::pair<int, std::int64_t>> wanted,
                         std::vector<std::int32_t> forgotten = {}) {
        FetchRequest out;
        out.session_id = session_id;
        out.session_epoch = epoch;
        if (!wanted.empty()) {
            auto& topic = out.topics.emplace_back();
            topic.topic = "t";
            for (const auto& [partition, offset] : wanted) {
                auto& asked = topic.partitions.emplace_back();
                asked.partition = partition;
                asked.fetch_offset = offset;
                asked.partition_max_bytes = 1000;
            }
        }
        if (!forgotten.empty()) out.forgotten_topics_data.push_back({.topic = "t", .partitions = forgotten});
        return out;
    }
    // The partitions that a fetch asks for: "0@5 1@0".
    std::string asked(FetchContext& context) {
        std::string out;
        const auto targets = context.next_round();
        if (!targets) return std::string{to_string(targets.error().code)};
        looked_at_.assign(targets->begin(), targets->end());
        has_looked_ = true;
        for (const FetchTarget& target : looked_at_) {
            out += fmt::format("{}{}@{}", out.empty() ? "" : " ", target.partition, target.fetch_offset.raw());
        }
        return out;
    }
    struct Found {
        int partition;
        std::int64_t high_watermark = 10;
        bool has_records = false;
        ErrorCode error = ErrorCode::none;
        bool is_quiet = false;
    };
    // The partitions that the answer names.
    std::string answered(FetchContext& context, const std::vector<Found>& found) {
        std::vector<FetchedPartition> all;
        if (!has_looked_) {
            const std::string looked = asked(context);
            if (!has_looked_) return looked;
        }
        has_looked_ = false;
        for (const FetchTarget& target : looked_at_) {
            const auto known = std::ranges::find(found, target.partition, &Found::partition);
            const Found each = known == found.end() ? Found{.partition = target.partition} : *known;
            FetchedPartition& one = all.emplace_back();
            one.target = target;
            one.is_quiet = each.is_quiet;
            one.data.partition_index = each.partition;
            one.data.high_watermark = each.high_watermark;
            one.data.log_start_offset = 0;
            one.data.error_code = static_cast<std::int16_t>(each.error);
            one.data.records = each.has_records ? protocol::Records::external(0, 100) : protocol::Records{kNoBytes};
        }
        const auto session = context.close(all, now_ms_);
        if (!session) return std::string{to_string(session.error().code)};
        session_id_ = *session;
        std::string out;
        for (const FetchedPartition& each : all)
            out += (out.empty() ? "" : " ") + std::to_string(each.target.partition);
        return out;
    }
    Result<FetchContext> open(const FetchRequest& made, std::int16_t version = kByName) {
        return FetchContext::open(cache_, made, version, metadata_version_, now_ms_);
    }
    void start_session(int partitions) {
        std::vector<std::pair<int, std::int64_t>> wanted;
        std::vector<Found> found;
        for (int i = 0; i < partitions; ++i) {
            wanted.emplace_back(i, 0);
            found.push_back({.partition = i});
        }
        auto context = open(request(0, 0, wanted));
        ASSERT_TRUE(context);
        answered(*context, found);
        ASSERT_NE(session_id_, 0);
    }

    SeededRandom random_{3};
    FetchSessionCache cache_{2, random_};
    std::int64_t now_ms_ = 1000;
    std::int32_t session_id_ = 0;
    std::uint64_t metadata_version_ = 1;
    std::vector<FetchTarget> looked_at_;  // by the fetch that has not been answered
    bool has_looked_ = false;
};

TEST_F(FetchSessionTest, AFullFetchNamesEverythingAndStartsASession) {
    auto context = open(request(0, 0, {{0, 5}, {1, 0}}));
    ASSERT_TRUE(context);
    EXPECT_EQ(asked(*context), "0@5 1@0");
    EXPECT_EQ(answered(*context, {{.partition = 0}, {.partition = 1}}), "0 1");
    EXPECT_NE(session_id_, 0);
    EXPECT_EQ(cache_.size(), 1u);
}

TEST_F(FetchSessionTest, TheFinalEpochFetchesWithoutASessionAndEndsTheOneNamed) {
    start_session(1);
    auto context = open(request(session_id_, -1, {{0, 0}}));
    ASSERT_TRUE(context);
    EXPECT_EQ(answered(*context, {{.partition = 0}}), "0");
    EXPECT_EQ(session_id_, 0);
    EXPECT_EQ(cache_.size(), 0u);
}

TEST_F(FetchSessionTest, AnIncrementalFetchAsksForWhatItNamedBeforeAndHearsOnlyNews) {
    start_session(3);
    auto context = open(request(session_id_, 1, {{1, 7}}));
    ASSERT_TRUE(context);
    EXPECT_EQ(asked(*context), "0@0 1@7 2@0");
    EXPECT_EQ(answered(*context, {{.partition = 0}, {.partition = 1, .has_records = true}, {.partition = 2}}), "1");
}

TEST_F(FetchSessionTest, AMovedHighWatermarkIsNewsOnce) {
    start_session(1);
    auto first = open(request(session_id_, 1, {}));
    EXPECT_EQ(answered(*first, {{.partition = 0, .high_watermark = 11}}), "0");
    auto second = open(request(session_id_, 2, {}));
    EXPECT_EQ(answered(*second, {{.partition = 0, .high_watermark = 11}}), "");
}

TEST_F(FetchSessionTest, AnErrorIsToldEachTimeAndItsEndToo) {
    start_session(1);
    const Found failing{.partition = 0, .error = ErrorCode::not_leader_or_follower};
    for (const std::int32_t epoch : {1, 2}) {
        auto context = open(request(session_id_, epoch, {}));
        EXPECT_EQ(answered(*context, {failing}), "0");
    }
    auto well = open(request(session_id_, 3, {}));
    EXPECT_EQ(answered(*well, {{.partition = 0}}), "0");
    auto quiet = open(request(session_id_, 4, {}));
    EXPECT_EQ(answered(*quiet, {{.partition = 0}}), "");
}

TEST_F(FetchSessionTest, APartitionThatGaveRecordsGoesToTheEndOfTheLine) {
    start_session(3);
    auto first = open(request(session_id_, 1, {}));
    answered(*first, {{.partition = 0, .has_records = true}, {.partition = 1}, {.partition = 2}});
    auto second = open(request(session_id_, 2, {}));
    EXPECT_EQ(asked(*second), "1@0 2@0 0@0");
}

TEST_F(FetchSessionTest, ForgottenPartitionsAreNotFetchedAndForgettingAllEndsTheSession) {
    start_session(2);
    auto context = open(request(session_id_, 1, {}, {0}));
    EXPECT_EQ(asked(*context), "1@0");
    answered(*context, {{.partition = 1}});
    auto last = open(request(session_id_, 2, {}, {1}));
    ASSERT_TRUE(last);
    EXPECT_EQ(asked(*last), "");
    EXPECT_EQ(cache_.size(), 0u);
}

TEST_F(FetchSessionTest, WrongSessionsAndEpochsAreRefused) {
    start_session(1);
    const struct {
        const char* name;
        std::int32_t session_id, epoch;
        std::int16_t version;
        ErrorCode want;
    } kCases[] = {
        {"no such session", session_id_ + 1, 1, kByName, ErrorCode::fetch_session_id_not_found},
        {"an epoch ahead", session_id_, 2, kByName, ErrorCode::invalid_fetch_session_epoch},
        {"an epoch behind", session_id_, 7, kByName, ErrorCode::invalid_fetch_session_epoch},
        {"ids in a session of names", session_id_, 1, kById, ErrorCode::fetch_session_topic_id_error},
    };
    for (const auto& each : kCases) {
        const auto context = open(request(each.session_id, each.epoch, {}), each.version);
        ASSERT_FALSE(context) << each.name;
        EXPECT_EQ(context.error().code, each.want) << each.name;
    }
}

TEST_F(FetchSessionTest, TheSlowerOfTwoRequestsWithOneSessionIsRefused) {
    start_session(1);
    auto slow = open(request(session_id_, 1, {}));
    auto quick = open(request(session_id_, 2, {}));
    ASSERT_TRUE(slow && quick);
    EXPECT_EQ(answered(*quick, {{.partition = 0}}), "");
    EXPECT_EQ(answered(*slow, {{.partition = 0}}), "INVALID_FETCH_SESSION_EPOCH");
}

TEST_F(FetchSessionTest, AFullCacheGivesNoSessionUntilOneIsStale) {
    start_session(1);
    start_session(1);
    auto refused = open(request(0, 0, {{0, 0}}));
    answered(*refused, {{.partition = 0}});
    EXPECT_EQ(session_id_, 0);
    now_ms_ += FetchSessionCache::kEvictionMs + 1;
    start_session(1);
    EXPECT_EQ(cache_.size(), 2u);
}

// --- what is looked at

// Partitions whose changes a session hears of.
class DuePartitionsTest : public FetchSessionTest {
protected:
    static constexpr int kPartitions = 4;
    DuePartitionsTest() {
        for (int i = 0; i < kPartitions; ++i) feeds_.push_back(std::make_shared<replication::ChangeFeed>());
        start_session(kPartitions);
    }
    // One fetch in the session, that finds partitions quiet but for those named. Gives: what it looked at.
    std::string look(const FetchRequest& made, const std::vector<Found>& found = {}) {
        auto context = open(made);
        if (!context) return std::string{to_string(context.error().code)};
        return look(*context, found);
    }
    std::string look(FetchContext& context, std::vector<Found> found = {}) {
        const std::string out = asked(context);
        watch_all(context);
        for (int i = 0; i < kPartitions; ++i) {
            if (std::ranges::find(found, i, &Found::partition) == found.end()) {
                found.push_back({.partition = i, .is_quiet = true});
            }
        }
        answered_ = answered(context, found);
        return out;
    }
    void watch_all(FetchContext& context) {
        for (std::size_t i = 0; i < looked_at_.size(); ++i) {
            context.watch(i, feeds_[static_cast<std::size_t>(looked_at_[i].partition)]);
        }
    }
    FetchRequest next(std::vector<std::pair<int, std::int64_t>> wanted = {}, std::vector<std::int32_t> forgotten = {}) {
        return request(session_id_, ++epoch_, std::move(wanted), std::move(forgotten));
    }

    std::vector<std::shared_ptr<replication::ChangeFeed>> feeds_;
    std::int32_t epoch_ = 0;
    std::string answered_;
};

TEST_F(DuePartitionsTest, AQuietPartitionIsNotLookedAtUntilItTellsOfAChange) {
    EXPECT_EQ(look(next()), "0@0 1@0 2@0 3@0");
    EXPECT_EQ(look(next()), "");
    feeds_[2]->tell({.bytes = 10});
    feeds_[1]->tell({});
    EXPECT_EQ(look(next()), "1@0 2@0");
    EXPECT_EQ(look(next()), "");
}

TEST_F(DuePartitionsTest, AChangeWhileAFetchLooksIsLookedAtByTheNext) {
    look(next());
    feeds_[0]->tell({});
    auto context = open(next());
    EXPECT_EQ(asked(*context), "0@0");
    watch_all(*context);
    feeds_[0]->tell({});
    EXPECT_EQ(answered(*context, {{.partition = 0, .is_quiet = true}}), "");
    EXPECT_EQ(look(next()), "0@0");
    EXPECT_EQ(look(next()), "");
}

TEST_F(DuePartitionsTest, AFetchLooksAgainAtWhatItHasSeenBesideWhatChanged) {
    look(next());
    feeds_[3]->tell({});
    auto context = open(next());
    EXPECT_EQ(asked(*context), "3@0");
    feeds_[1]->tell({});
    EXPECT_EQ(look(*context, {{.partition = 3, .high_watermark = 11, .is_quiet = true}}), "1@0 3@0");
    EXPECT_EQ(answered_, "3");
}

TEST_F(DuePartitionsTest, WhatTheRequestNamesWhatFailedAndWhatWasCutShortIsLookedAt) {
    EXPECT_EQ(look(next(), {{.partition = 1, .error = ErrorCode::not_leader_or_follower}, {.partition = 2}}),
              "0@0 1@0 2@0 3@0");
    EXPECT_EQ(look(next({{3, 7}})), "1@0 2@0 3@7");
    EXPECT_EQ(answered_, "1") << "that it is well again";
    EXPECT_EQ(look(next()), "");
}

TEST_F(DuePartitionsTest, PartitionsTakeTurnsByWhoGaveRecordsHoweverTheyBecameDue) {
    look(next(), {{.partition = 0, .has_records = true}, {.partition = 2, .has_records = true}});
    for (const int i : {0, 2, 3, 1}) feeds_[static_cast<std::size_t>(i)]->tell({});
    EXPECT_EQ(look(next()), "1@0 3@0 0@0 2@0");
}

TEST_F(DuePartitionsTest, AFetchThatEndsWithoutAnAnswerLeavesWhatItTookDue) {
    look(next());
    feeds_[2]->tell({});
    {
        auto dropped = open(next());
        EXPECT_EQ(asked(*dropped), "2@0");
        watch_all(*dropped);
    }
    EXPECT_EQ(look(next()), "2@0");
}

TEST_F(DuePartitionsTest, ASecondRequestWhileTheFirstIsServedLooksAtEverything) {
    look(next());
    auto slow = open(next());
    EXPECT_EQ(asked(*slow), "");
    auto quick = open(next({}, {1}));
    EXPECT_EQ(asked(*slow), "INVALID_FETCH_SESSION_EPOCH");
    EXPECT_EQ(look(*quick), "0@0 2@0 3@0");
    EXPECT_EQ(look(next()), "");
}

TEST_F(DuePartitionsTest, NewMetadataAndAnotherIsolationLevelHaveEverythingLookedAt) {
    look(next());
    ++metadata_version_;
    EXPECT_EQ(look(next()), "0@0 1@0 2@0 3@0");
    FetchRequest committed = next();
    committed.isolation_level = 1;
    EXPECT_EQ(look(committed), "0@0 1@0 2@0 3@0");
    committed = next();
    committed.isolation_level = 1;
    EXPECT_EQ(look(committed), "");
}

TEST_F(DuePartitionsTest, APartitionThatClosedIsDueAndSoIsOneFoundClosed) {
    feeds_[1]->close();
    look(next());  // finds the closed one quiet, as one that read it just before would
    EXPECT_EQ(look(next()), "1@0");
    feeds_[0]->close();
    feeds_[1] = std::make_shared<replication::ChangeFeed>();
    EXPECT_EQ(look(next(), {{.partition = 0, .error = ErrorCode::not_leader_or_follower}}), "0@0 1@0");
    feeds_[0] = std::make_shared<replication::ChangeFeed>();
    look(next());
    feeds_[0]->tell({});
    feeds_[1]->tell({});
    EXPECT_EQ(look(next()), "0@0 1@0") << "those that took their places are followed";
}

TEST_F(DuePartitionsTest, ForgottenPartitionsAndEndedSessionsHearNothingAnyMore) {
    look(next());
    feeds_[0]->tell({});
    EXPECT_EQ(look(next({}, {0, 1})), "");
    feeds_[0]->tell({});
    feeds_[1]->tell({});
    feeds_[2]->tell({});
    EXPECT_EQ(look(next()), "2@0");
    ASSERT_TRUE(open(request(session_id_, -1, {})));
    EXPECT_EQ(cache_.size(), 0u);
    for (const auto& feed : feeds_) {
        EXPECT_EQ(feed.use_count(), 1);
        feed->tell({.is_urgent = true});  // into nothing
    }
}

TEST_F(DuePartitionsTest, AFetchDoesNotWaitWhileSomethingIsDue) {
    ManualClock clock;
    io::Reactor reactor{0, clock};
    look(next());
    auto context = open(next());
    EXPECT_EQ(asked(*context), "");
    replication::FetchWaiter waiter{reactor, 1, 0};
    feeds_[0]->tell({});
    EXPECT_FALSE(context->hang(waiter));
    EXPECT_EQ(asked(*context), "0@0");
    EXPECT_TRUE(context->hang(waiter));
    context->unhang(waiter);
    feeds_[0]->tell({.is_urgent = true});
    EXPECT_TRUE(waiter.give_up()) << "nobody woke it";
}

TEST(FetchSessionCacheTest, SessionsInAllShardsAreFoundAgainAndTheSlotsAreKept) {
    SeededRandom random{5};
    FetchSessionCache cache{1000, random};
    ASSERT_GT(cache.shard_count(), 1u);
    std::vector<std::int32_t> ids;
    for (int i = 0; i < 2000; ++i) {
        protocol::FetchRequest full;
        full.session_epoch = 0;
        auto context = FetchContext::open(cache, full, 12, 1, 1000);
        ASSERT_TRUE(context);
        EXPECT_TRUE(context->next_round());
        std::vector<FetchedPartition> found(1);
        const Result<std::int32_t> id = context->close(found, 1000);
        ASSERT_TRUE(id);
        if (*id != 0) ids.push_back(*id);
        if (i == 899) {
            EXPECT_EQ(ids.size(), 900u) << "nine tenths fit wherever they fall";
        }
    }
    EXPECT_EQ(cache.size(), ids.size());
    EXPECT_LE(ids.size(), 1000u);
    for (const std::int32_t id : ids) {
        protocol::FetchRequest next;
        next.session_id = id;
        next.session_epoch = 1;
        EXPECT_TRUE(FetchContext::open(cache, next, 12, 1, 1000)) << id;
    }
}

}  // namespace
}  // namespace odr::server
