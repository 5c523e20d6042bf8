#include "load/request_lane.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>

#include "protocol/generated/heartbeat_request.h"
#include "protocol/generated/heartbeat_response.h"

namespace odr::bench {
namespace {

constexpr std::int16_t kVersion = 4;

// A lane, and the other end of its socket, which plays the broker.
class RequestLaneTest : public testing::Test {
protected:
    RequestLaneTest() : RequestLaneTest{pair()} {}

    void ask(std::uint64_t tag) {
        lane_.enqueue(kVersion, protocol::HeartbeatRequest{.group_id = "group"}, tag, 0);
        ASSERT_TRUE(lane_.flush());
    }
    // The whole answer to the request with that correlation id.
    static std::vector<std::uint8_t> answer_to(std::int32_t correlation_id, std::int16_t error) {
        protocol::Buffer out;
        protocol::Writer writer{out};
        writer.begin_frame();
        protocol::encode_response_header(writer, *protocol::find_api(12), kVersion, correlation_id);
        encode(writer, kVersion, protocol::HeartbeatResponse{.error_code = error});
        writer.end_frame();
        return {out.data(), out.data() + out.size()};
    }
    void broker_sends(ByteView bytes) { ASSERT_TRUE(broker_.send_all(bytes)); }

    // What the lane hands on: "tag:error" for each answer; or "failed".
    std::string drain() {
        std::string seen;
        const auto drained =
            lane_.drain([&](const RequestLane::InFlight& done, protocol::Reader& body) -> Result<void> {
                protocol::HeartbeatResponse answer;
                ODR_CHECK(decode(body, kVersion, answer));
                seen += std::to_string(done.tag) + ":" + std::to_string(answer.error_code) + " ";
                return {};
            });
        return drained ? seen : "failed";
    }

    RequestLane lane_;
    Socket broker_;

private:
    static std::array<int, 2> pair() {
        std::array<int, 2> ends{};
        ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data());
        return ends;
    }
    explicit RequestLaneTest(std::array<int, 2> ends) : lane_{Socket{ends[0]}}, broker_{ends[1]} {}
};

TEST_F(RequestLaneTest, AnswersComeWithTheTagsOfTheirRequestsInOrder) {
    ask(7);
    ask(8);
    broker_sends(answer_to(0, 0));
    broker_sends(answer_to(1, 27));
    EXPECT_EQ(drain(), "7:0 8:27 ");
    EXPECT_EQ(lane_.in_flight(), 0U);
}

TEST_F(RequestLaneTest, AnAnswerInPiecesIsHandedOnOnceItIsWhole) {
    ask(7);
    const auto answer = answer_to(0, 0);
    broker_sends(ByteView{answer}.first(6));
    EXPECT_EQ(drain(), "");
    broker_sends(ByteView{answer}.subspan(6));
    EXPECT_EQ(drain(), "7:0 ");
}

TEST_F(RequestLaneTest, AnAnswerOutOfTurnIsAnError) {
    ask(7);
    ask(8);
    broker_sends(answer_to(1, 0));
    EXPECT_EQ(drain(), "failed");
}

TEST_F(RequestLaneTest, AClosedConnectionIsAnErrorAndNotSilence) {
    ask(7);
    broker_.close();
    EXPECT_EQ(drain(), "failed");
}

TEST_F(RequestLaneTest, APreparedFrameGetsACorrelationIdOfItsOwn) {
    ask(7);
    protocol::Buffer frame;
    protocol::Writer writer{frame};
    writer.begin_frame();
    protocol::encode_request_header(writer, *protocol::find_api(12), kVersion, 99, kClientId);
    encode(writer, kVersion, protocol::HeartbeatRequest{.group_id = "group"});
    writer.end_frame();
    lane_.enqueue_frame(frame, 12, kVersion, 8, 0);
    ASSERT_TRUE(lane_.flush());
    broker_sends(answer_to(0, 0));
    broker_sends(answer_to(1, 0));
    EXPECT_EQ(drain(), "7:0 8:0 ");
}

}  // namespace
}  // namespace odr::bench
