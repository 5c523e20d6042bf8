#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "protocol/buffer.h"
#include "protocol/coordinator_records.h"

namespace odr::coordinator {

// One record of __consumer_offsets on its way to the log. A missing value is a tombstone.
struct CoordinatorRecord {
    std::vector<std::uint8_t> key;
    std::optional<std::vector<std::uint8_t>> value;
};
using CoordinatorRecords = std::vector<CoordinatorRecord>;

// record_of(OffsetCommitKey{...}, 4, OffsetCommitValue{...}): the bytes are copied.
template <class Key, class Value>
CoordinatorRecord record_of(const Key& key, std::int16_t value_version, const Value& value) {
    protocol::Buffer key_bytes;
    protocol::Writer key_writer{key_bytes};
    protocol::encode_coordinator_key(key_writer, key);
    protocol::Buffer value_bytes;
    protocol::Writer value_writer{value_bytes};
    protocol::encode_coordinator_value(value_writer, value_version, value);
    const ByteView key_view = key_bytes.view();
    const ByteView value_view = value_bytes.view();
    return {.key = {key_view.begin(), key_view.end()},
            .value = std::vector<std::uint8_t>{value_view.begin(), value_view.end()}};
}
template <class Key>
CoordinatorRecord tombstone_of(const Key& key) {
    protocol::Buffer key_bytes;
    protocol::Writer key_writer{key_bytes};
    protocol::encode_coordinator_key(key_writer, key);
    const ByteView key_view = key_bytes.view();
    return {.key = {key_view.begin(), key_view.end()}, .value = std::nullopt};
}

// A message of the protocol that owns the texts and bytes its views point to, so that it may wait and travel between
// reactors. Moving it keeps the views good.
template <class Message>
class Owned {
public:
    Message message{};

    std::string_view keep(std::string text) {
        auto owned = std::make_shared<const std::string>(std::move(text));
        const std::string_view view = *owned;
        kept_.push_back(std::move(owned));
        return view;
    }
    ByteView keep(std::vector<std::uint8_t> bytes) {
        auto owned = std::make_shared<const std::vector<std::uint8_t>>(std::move(bytes));
        const ByteView view = *owned;
        kept_.push_back(std::move(owned));
        return view;
    }
    // Takes over what another message's views point to, when parts of it go into this one.
    template <class Other>
    void keep_all_of(Owned<Other>& other) {
        for (auto& each : other.kept_) kept_.push_back(std::move(each));
        other.kept_.clear();
    }

private:
    template <class Other>
    friend class Owned;
    std::vector<std::shared_ptr<const void>> kept_;
};

// The answer to a request that waits for others (JoinGroup, SyncGroup): completed once, later calls do nothing.
//
// Owner:   copies share one answer. Threads: the shard's.
template <class Response>
class Deferred {
public:
    using Deliver = std::move_only_function<void(Response)>;

    Deferred() = default;
    explicit Deferred(Deliver deliver) : state_{std::make_shared<Deliver>(std::move(deliver))} {}

    // False: nobody waits, or the answer was given.
    bool is_waiting() const { return state_ != nullptr && *state_ != nullptr; }
    void complete(Response response) {
        if (!is_waiting()) return;
        Deliver deliver = std::exchange(*state_, nullptr);
        deliver(std::move(response));
    }
    friend bool operator==(const Deferred&, const Deferred&) = default;

private:
    std::shared_ptr<Deliver> state_;
};

// What an append's error means to a client of a coordinator. Kafka: CoordinatorOperationExceptionHelper.
ErrorCode coordinator_error_of(ErrorCode append_error);

// What an operation on a shard wants written, and what it answers once that is committed.
//
// Operations decide and touch nothing; the records' replay changes the state, at once. An operation that changed the
// state itself (classic groups do) says so by `replay = false`.
// Kafka: CoordinatorResult.
template <class Response = std::monostate>
struct CoordinatorResult {
    CoordinatorRecords records{};
    Response response{};  // delivered when the high watermark passed the records; at once when there are none and
                          // nothing written earlier is pending
    // Told once: none when the records are committed, else why they are not. After a failed append the shard is loaded
    // anew, so this only answers who waits. Called before unload.
    std::move_only_function<void(ErrorCode)> on_appended{};
    bool replay = true;
    bool is_atomic = true;  // false: may be spread over several batches
};
using Nothing = std::monostate;

}  // namespace odr::coordinator
