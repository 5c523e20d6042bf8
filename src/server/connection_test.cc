#include <sys/epoll.h>

#include <array>
#include <latch>

#include "protocol/generated/list_offsets_request.h"
#include "server/connection_test_support.h"

namespace odr::server {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace)

// --- frames

TEST_F(ConnectionTest, TwoFramesSplitAnywhereAreAnswered) {
    const Bytes both = api_versions(1) + produce(2);
    for (std::size_t at = 1; at < both.size(); ++at) {
        const Id client = connect();
        send_all(client, Bytes{both.begin(), both.begin() + static_cast<std::ptrdiff_t>(at)});
        send_all(client, Bytes{both.begin() + static_cast<std::ptrdiff_t>(at), both.end()});
        ASSERT_EQ(answers(client), (Ids{1, 2})) << "split at " << at;
    }
}

TEST_F(ConnectionTest, AFrameThatComesByteByByteIsAnswered) {
    const Id client = connect();
    for (const std::uint8_t byte : produce(1)) send_all(client, {byte});
    EXPECT_EQ(answers(client), Ids{1});
}

TEST_F(ConnectionTest, ManyFramesAtOnceAreAnsweredInTheirOrder) {
    const Id client = connect();
    Bytes all;
    Ids expected;
    for (std::int32_t i = 0; i < 500; ++i) {
        all = std::move(all) + (i % 7 == 3 ? fetch(i, 0) : i % 3 == 0 ? api_versions(i) : produce(i));
        expected.push_back(i);
    }
    send_all(client, all);
    EXPECT_EQ(answers(client), expected);
}

TEST_F(ConnectionTest, LargeFramesInOddPiecesAreReadWithWhatFollows) {
    const Id client = connect();
    const Bytes all =
        produce(1, 700'000) + api_versions(2) + produce(3, 40'000) + produce(4, 300'000) + api_versions(5);
    for (std::size_t at = 0; at < all.size(); at += 10'007) {
        const std::size_t end = std::min(all.size(), at + 10'007);
        send_all(client,
                 Bytes{all.begin() + static_cast<std::ptrdiff_t>(at), all.begin() + static_cast<std::ptrdiff_t>(end)});
    }
    EXPECT_EQ(answers(client), (Ids{1, 2, 3, 4, 5}));
    EXPECT_EQ(memory_->bytes(), 0);
}

TEST_F(ConnectionTest, AClaimOfManyBytesTakesNoMemoryBeforeTheyCome) {
    const Id client = connect();
    send_all(client, {0x06, 0, 0, 0, 0, 0, 0, 11});
    EXPECT_LE(memory_->bytes(), 128 << 10);
    EXPECT_FALSE(is_closed(client));
}

TEST_F(ConnectionTest, AFrameOverTheLimitClosesTheConnection) {
    open_processor({.request_bytes_max = 1000});
    const Id client = connect();
    send_all(client, api_versions(1) + Bytes{0, 0, 0x03, 0xe9});
    EXPECT_TRUE(is_closed(client));
    const Id other = connect();
    send_all(other, Bytes{0, 0, 0x03, 0xe8});
    EXPECT_FALSE(is_closed(other));
}

TEST_F(ConnectionTest, ANegativeSizeClosesTheConnection) {
    const Id client = connect();
    send_all(client, {0xff, 0xff, 0xff, 0xff});
    EXPECT_TRUE(is_closed(client));
}

TEST_F(ConnectionTest, AFrameThatIsNoRequestClosesTheConnection) {
    for (const Bytes& bad :
         {Bytes{0, 0, 0, 0}, Bytes{0, 0, 0, 1, 9}, Bytes{0, 0, 0, 8, 0x7f, 0xff, 0, 0, 0, 0, 0, 1}}) {
        const Id client = connect();
        send_all(client, bad);
        EXPECT_TRUE(is_closed(client));
    }
}

// --- the order of requests

TEST_F(ConnectionTest, ABurstOfProduceRequestsKeepsItsOrderInTheLogAndInTheAnswers) {
    const Id client = connect();
    send_all(client, produce(1) + produce(2) + produce(3) + api_versions(4) + produce(5));
    EXPECT_EQ(answers(client), (Ids{1, 2, 3, 4, 5}));
    const auto all = frames(client);
    for (const std::size_t i : {0, 1, 2}) EXPECT_EQ(base_offset(all[i]), static_cast<std::int64_t>(i));
    EXPECT_EQ(base_offset(all[4]), 3);
}

TEST_F(ConnectionTest, AnAnswerThatIsReadyWaitsForThoseBeforeIt) {
    const Id client = connect();
    send_all(client, produce(1, 10, "slow") + produce(2) + produce(3, 10, "slow") + produce(4) + api_versions(5));
    EXPECT_EQ(answers(client), (Ids{1, 2, 3, 4, 5}));
}

TEST_F(ConnectionTest, WhatComesBehindAWaitingFetchWaits) {
    const Id client = connect();
    send_all(client, fetch(1, 0, 500) + api_versions(2));
    EXPECT_EQ(answers(client), Ids{});
    pass(500);
    EXPECT_EQ(answers(client), (Ids{1, 2}));
}

TEST_F(ConnectionTest, AnAppendOfAnotherConnectionWakesAWaitingFetch) {
    const Id reader = connect();
    const Id writer = connect();
    send_all(reader, fetch(1, 0, 500) + api_versions(2));
    send_all(writer, produce(1));
    EXPECT_EQ(answers(reader), (Ids{1, 2}));
    EXPECT_GT(fetched_bytes(frames(reader)[0]), 0U);
}

TEST_F(ConnectionTest, ProduceWithoutAcksHasNoAnswerAndAnErrorClosesTheConnection) {
    const Id client = connect();
    send_all(client, produce(1, 10, "orders", 0) + produce(2));
    EXPECT_EQ(answers(client), Ids{2});
    EXPECT_EQ(base_offset(frames(client)[0]), 1);
    send_all(client, produce(3, 10, "missing", 0) + produce(4));
    EXPECT_TRUE(is_closed(client));
    EXPECT_EQ(answers(client), Ids{2});
}

// --- the end of a connection

TEST_F(ConnectionTest, APeerThatGoesAnywhereWithinAFrameIsForgotten) {
    const Bytes whole = produce(1);
    for (std::size_t at = 0; at < whole.size(); ++at) {
        const Id client = connect();
        send_all(client, Bytes{whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(at)});
        disconnect(client);
        ASSERT_EQ(quotas_.count(), 0) << "gone after " << at << " bytes";
    }
    const Id client = connect();
    Bytes large = produce(1, 500'000);
    large.resize(300'000);
    send_all(client, large);
    EXPECT_GT(memory_->bytes(), 0);
    disconnect(client);
    EXPECT_EQ(memory_->bytes(), 0);
}

TEST_F(ConnectionTest, APeerThatGoesWhileItsFetchWaitsLeavesAtOnceAndTheFetchEndsLater) {
    const Id client = connect();
    send_all(client, fetch(1, 0, 500));
    disconnect(client);
    EXPECT_EQ(quotas_.count(), 0);
    pass(500);
}

TEST_F(ConnectionTest, DeletingAPartitionAnswersTheFetchesThatWaitOnIt) {
    const Id client = connect();
    send_all(client, fetch(1, 0, 500));
    EXPECT_TRUE(replicas_->remove(io::MayBlock::for_test(), {uuid(1), PartitionIndex{0}}, true));
    settle();
    EXPECT_EQ(answers(client), Ids{1});
    EXPECT_EQ(fetched_bytes(frames(client)[0]), 0U);
}

TEST_F(ConnectionTest, StoppingClosesTheConnectionsOfRequestsInFlightToo) {
    const Id idle = connect();
    const Id waiting = connect();
    const Id halfway = connect();
    send_all(waiting, fetch(1, 0, 500) + api_versions(2));
    send_all(halfway, Bytes{0, 0});
    processor_->start();
    std::thread stopper{[this] { processor_->stop(); }};
    while (quotas_.count() > 0) std::this_thread::yield();  // closed, and the fetch still waits
    replicas_->close_all();
    stopper.join();
    for (const Id each : {idle, waiting, halfway}) EXPECT_TRUE(is_closed(each));
    EXPECT_EQ(quotas_.count(), 0);
}

// Tells which of some sockets became readable first: epoll keeps them in that order.
class ArrivalOrder {
public:
    explicit ArrivalOrder(const std::vector<int>& sockets) {
        for (const int each : sockets) {
            epoll_event event{};
            event.events = EPOLLIN | EPOLLET;
            event.data.fd = each;
            EXPECT_EQ(::epoll_ctl(epoll_, EPOLL_CTL_ADD, each, &event), 0);
        }
    }
    ArrivalOrder(const ArrivalOrder&) = delete;
    ArrivalOrder& operator=(const ArrivalOrder&) = delete;
    ~ArrivalOrder() { ::close(epoll_); }
    std::vector<int> readable() const {
        std::array<epoll_event, 8> events;
        const int count = ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), 0);
        std::vector<int> out;
        for (int i = 0; i < count; ++i) out.push_back(events[static_cast<std::size_t>(i)].data.fd);
        return out;
    }

private:
    const int epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
};

TEST_F(ConnectionTest, ARecordGoesToTheConsumerThatWaitsBeforeItsProducerHearsOfIt) {
    const Id producer = connect();
    const Id consumer = connect();
    for (std::int32_t i = 0; i < 2; ++i) {  // each turn anew
        send_all(consumer, fetch(10 + i, i, 500));
        const ArrivalOrder order{{sockets_[producer], sockets_[consumer]}};
        EXPECT_EQ(order.readable(), std::vector<int>{});
        send_all(producer, produce(i));
        EXPECT_EQ(order.readable(), (std::vector<int>{sockets_[consumer], sockets_[producer]}));
        EXPECT_EQ(answers(producer).back(), i);
        EXPECT_EQ(answers(consumer).back(), 10 + i);
    }
}

TEST_F(ConnectionTest, AProducerWaitsForOneConsumersAnswerAtMost) {
    const Id producer = connect();
    send_all(producer, produce(0));
    EXPECT_EQ(answers(producer), Ids{0});
    const std::vector<Id> consumers{connect(), connect(), connect()};
    std::vector<int> all{sockets_[producer]};
    for (const Id each : consumers) {
        send_all(each, fetch(1, 1, 500));
        all.push_back(sockets_[each]);
    }
    const ArrivalOrder order{all};
    send_all(producer, produce(2));
    const std::vector<int> readable = order.readable();
    ASSERT_EQ(readable.size(), 4U);
    EXPECT_EQ(readable[1], sockets_[producer]);
}

TEST_F(ConnectionTest, ALargeAnswerDoesNotGoBeforeTheProducers) {
    const Id producer = connect();
    const Id consumer = connect();
    send_all(producer, produce(0));
    EXPECT_EQ(answers(producer), Ids{0});
    send_all(consumer, fetch(1, 1, 500));
    const ArrivalOrder order{{sockets_[producer], sockets_[consumer]}};
    send_all(producer, produce(2, 40'000));
    EXPECT_EQ(order.readable(), (std::vector<int>{sockets_[producer], sockets_[consumer]}));
}

// --- backpressure

TEST_F(ConnectionTest, AnAnswerLargerThanTheSocketsBufferArrivesWhole) {
    const Id client = connect();
    for (int i = 0; i < 5; ++i) send_all(client, produce(i, 900'000));
    send_all(client, fetch(5, 0) + api_versions(6));
    while (receive(client, 1009)) {
    }
    EXPECT_EQ(answers(client), (Ids{0, 1, 2, 3, 4, 5, 6}));
    EXPECT_GT(fetched_bytes(frames(client)[5]), 4'500'000U);
}

TEST_F(ConnectionTest, AnAnswerThatIsNotInThePageCacheArrivesWhole) {
    const Id client = connect();
    for (int i = 0; i < 4; ++i) send_all(client, produce(i, 900'000));
    files_.set_resident(false);
    send_all(client, fetch(4, 0) + api_versions(5));
    while (receive(client, 100'003)) {
    }
    EXPECT_EQ(answers(client), (Ids{0, 1, 2, 3, 4, 5}));
    EXPECT_GT(fetched_bytes(frames(client)[4]), 3'600'000U);
}

// The threads for everything else wait, as they would for the reads of another directory.
TEST_F(ConnectionTest, WhatIsNotInThePageCacheIsReadByThreadsOfItsDisk) {
    const Id client = connect();
    for (int i = 0; i < 4; ++i) send_all(client, produce(i, 900'000));
    protocol::ListOffsetsRequest by_time;
    auto& topic = by_time.topics.emplace_back();
    topic.name = "orders";
    topic.partitions.emplace_back().timestamp = 1'700'000'000'000;
    files_.set_resident(false);
    const auto go_on = std::make_shared<std::latch>(1);
    pool_.submit([go_on](io::MayBlock) { go_on->wait(); });

    const Bytes requests = frame(7, 4, by_time) + fetch(5, 0);
    ASSERT_EQ(::send(sockets_[client], requests.data(), requests.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(requests.size()));
    Bytes& received = received_[client];
    Bytes window(std::size_t{1} << 20);
    for (int turns = 0; turns < 10'000 && frames(client).size() < 6; ++turns) {
        processor_->reactor().run_ready();
        drain(logs_->all_logs().front()->disk()->reads(), 8);
        const ssize_t n = ::recv(sockets_[client], window.data(), window.size(), 0);
        if (n > 0) received.insert(received.end(), window.begin(), window.begin() + n);
    }
    go_on->count_down();
    ASSERT_EQ(answers(client), (Ids{0, 1, 2, 3, 4, 5}));
    EXPECT_GT(fetched_bytes(frames(client)[5]), 3'600'000U);
}

TEST_F(ConnectionTest, AConnectionClosedWhileItsPagesAreReadGoesWhenTheyAre) {
    const Id client = connect();
    for (int i = 0; i < 4; ++i) send_all(client, produce(i, 900'000));
    files_.set_resident(false);
    send_all(client, fetch(4, 0));
    disconnect(client);
    EXPECT_EQ(quotas_.count(), 0);
}

TEST_F(ConnectionTest, AClientThatDoesNotReadIsNotServedOnAndOn) {
    const Id client = connect();
    constexpr std::int32_t kMany = 200'000;
    Bytes requests;
    for (std::int32_t i = 0; i < kMany; ++i) {
        const Bytes one = api_versions(i);
        requests.insert(requests.end(), one.begin(), one.end());
    }
    std::size_t sent = send(client, requests);
    EXPECT_LT(sent, requests.size() / 2) << "the server takes requests of a client that reads nothing";
    while (sent < requests.size() || receive(client, std::size_t{1} << 20)) {
        receive(client, std::size_t{1} << 20);
        sent += send(client, ByteView{requests}.subspan(sent));
    }
    const Ids ids = answers(client);
    ASSERT_EQ(ids.size(), static_cast<std::size_t>(kMany));
    for (std::int32_t i = 0; i < kMany; ++i) ASSERT_EQ(ids[static_cast<std::size_t>(i)], i);
}

TEST_F(ConnectionTest, MemoryHeldByHalfAFrameDoesNotKeepItsOwnConnectionWaiting) {
    open_processor({}, 64 << 10);
    const Id first = connect();
    const Id second = connect();
    const Bytes large = produce(2, 100'000);
    const auto half = large.begin() + 50'000;
    send_all(second, Bytes{large.begin(), half});
    send_all(first, produce(1, 40'000) + Bytes{large.begin(), half});
    send_all(second, Bytes{half, large.end()});
    EXPECT_EQ(answers(second), Ids{2});
    send_all(first, Bytes{half, large.end()});
    pass(10);
    EXPECT_EQ(answers(first), (Ids{1, 2}));
}

// All threads that sync wait, as on a disk that does not answer, while a client goes on sending small requests.
TEST_F(ConnectionTest, SmallRequestsThatWaitForADiskTakeNoMoreMemoryThanIsAllowed) {
    constexpr std::size_t kLimit = 64 << 10;
    constexpr std::size_t kOneRead = 256 << 10;
    open_processor({}, kLimit);
    const Id client = connect();
    std::latch disk_answers{1};
    io::BlockingPool& syncs = logs_->all_logs().front()->disk()->waits();
    for (int thread = 0; thread < 8; ++thread) syncs.submit([&](io::MayBlock) { disk_answers.wait(); });

    std::int32_t requests = 0;
    std::size_t sent = 0;
    Bytes rest;
    for (int turns_without = 0; turns_without < 20; ++turns_without) {
        if (rest.empty()) rest = produce(requests++, 1000, "slow");
        const ssize_t n = ::send(sockets_[client], rest.data(), rest.size(), MSG_NOSIGNAL);
        if (n > 0) {
            rest.erase(rest.begin(), rest.begin() + n);
            sent += static_cast<std::size_t>(n);
            turns_without = 0;
        }
        processor_->reactor().run_ready();
        ASSERT_LT(sent, std::size_t{16} << 20) << "requests are taken without an end";
    }
    EXPECT_GT(memory_->bytes(), static_cast<std::int64_t>(kLimit / 2));
    EXPECT_LT(memory_->bytes(), static_cast<std::int64_t>(kLimit + kOneRead));

    disk_answers.count_down();
    for (int i = 0; i < 100 && !rest.empty(); ++i) {
        pass(10);
        const std::size_t more = send(client, rest);
        rest.erase(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(more));
    }
    for (int i = 0; i < 100 && answers(client).size() < static_cast<std::size_t>(requests); ++i) pass(10);
    EXPECT_EQ(answers(client).size(), static_cast<std::size_t>(requests));
}

}  // namespace
}  // namespace odr::server
