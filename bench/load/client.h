#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/uuid.h"
#include "load/socket.h"
#include "protocol/api_keys.h"
#include "protocol/headers.h"

namespace odr::bench {

inline constexpr std::string_view kClientId = "odradek-load";

// A topic and what requests name it by. A floor program has no topics: the id is then zero.
struct TopicTarget {
    std::string name;
    Uuid id{};
    std::int32_t partitions = 1;
};

// One blocking connection, one request at a time: for setting up and for checking, not for load.
//
// Threads: one. Answers are views into the last frame: the next call ends them.
class Client {
public:
    static Result<Client> connect(const Address& address, int seconds_max = 60);

    template <class Response, class Request>
    Result<Response> call(std::int16_t version, const Request& request) {
        frame_.clear();
        protocol::Writer writer{frame_};
        const protocol::ApiInfo& api = *protocol::find_api(Request::kApiKey);
        writer.begin_frame();
        protocol::encode_request_header(writer, api, version, ++correlation_id_, kClientId);
        encode(writer, version, request);
        writer.end_frame();
        ODR_CHECK(exchange());
        protocol::Reader reader{answer_};
        ODR_TRY(correlation_id, protocol::decode_response_header(reader, api, version));
        if (correlation_id != correlation_id_) return fail(ErrorCode::invalid_request, "an answer to another request");
        Response response;
        ODR_CHECK(decode(reader, version, response));
        return response;
    }

    const Socket& socket() const { return socket_; }

private:
    explicit Client(Socket socket) : socket_{std::move(socket)} {}
    Result<void> exchange();

    Socket socket_;
    protocol::Buffer frame_;
    std::vector<std::uint8_t> answer_;
    std::int32_t correlation_id_ = 0;
};

// Configs of a topic, as "key=value".
using TopicConfigs = std::vector<std::string>;

// Creates the topic with one replica; that it exists already is an error too.
Result<void> create_topic(Client& client, const std::string& name, std::int32_t partitions,
                          const TopicConfigs& configs = {});
// Waits until every partition has a leader; gives what requests name the topic by.
Result<TopicTarget> await_leaders(Client& client, const std::string& name, std::int32_t partitions);
// Waits until the broker answers for the end of every partition, so that a produce finds a log.
Result<void> await_logs(Client& client, const TopicTarget& topic);
// The three together.
Result<TopicTarget> make_topic(Client& client, const std::string& name, std::int32_t partitions,
                               const TopicConfigs& configs = {});
Result<TopicTarget> find_topic(Client& client, const std::string& name);
Result<void> delete_topic(Client& client, const std::string& name);

// The log end offset of each partition. Errors: whatever the broker answered for one of them.
Result<std::vector<std::int64_t>> end_offsets(Client& client, const TopicTarget& topic);

// Waits until the group has a coordinator, which makes __consumer_offsets where it is not there yet.
Result<void> await_coordinator(Client& client, const std::string& group_id);

// A 2-byte API version request: is anybody there?
Result<void> hello(Client& client);

}  // namespace odr::bench
