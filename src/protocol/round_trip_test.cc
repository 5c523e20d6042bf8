// Properties of every message in every version. tests/protocol/run.py holds the same codecs against Kafka's classes.
#include <gtest/gtest.h>

#include <vector>

#include "protocol/testing/message_ops.h"

namespace odr::protocol {
namespace {

template <class Check>
void for_each_version(Check check) {
    for (const MessageOps& ops : all_message_ops()) {
        for (std::int16_t version = ops.min_version; version <= ops.max_version; ++version) {
            if (!check(ops, version)) ADD_FAILURE() << ops.name << " v" << version;
        }
    }
}

TEST(EveryMessage, ReadsBackAsItWasWritten) {
    RandomSource random{20260513};
    for_each_version([&](const MessageOps& ops, std::int16_t version) {
        for (int i = 0; i < 10; ++i) {
            if (!ops.random_round_trips(random, version)) return false;
        }
        return true;
    });
}

// Nothing in a message may end early and leave it valid, but a message may end with bytes that were optional.
TEST(EveryMessage, CutAtAnyByteIsRefusedOrAnotherValidMessage) {
    RandomSource random{2};
    std::size_t cuts = 0;
    std::size_t refused = 0;
    for_each_version([&](const MessageOps& ops, std::int16_t version) {
        Buffer whole;
        ops.make_random(random, version, whole);
        for (std::size_t size = 0; size < whole.size(); ++size) {
            // A copy of its own, so that a sanitizer sees a read behind the cut.
            const std::vector<std::uint8_t> cut(whole.data(), whole.data() + size);
            if (!ops.round_trips(cut, version)) return false;
            Buffer out;
            refused += !ops.reencode(cut, version, out);
            ++cuts;
        }
        return true;
    });
    EXPECT_EQ(refused, cuts) << "no format of Kafka's is valid when its end is missing";
}

TEST(EveryMessage, WithAnyByteChangedIsRefusedOrReadsBackAsItWasWritten) {
    RandomSource random{3};
    SeededRandom noise{4};
    for_each_version([&](const MessageOps& ops, std::int16_t version) {
        Buffer whole;
        ops.make_random(random, version, whole);
        for (std::size_t at = 0; at < whole.size(); ++at) {
            std::vector<std::uint8_t> changed(whole.data(), whole.data() + whole.size());
            changed[at] = static_cast<std::uint8_t>(noise.next());
            if (!ops.round_trips(changed, version)) return false;
        }
        return true;
    });
}

TEST(EveryMessage, CanBeShownAsJson) {
    RandomSource random{5};
    for_each_version([&](const MessageOps& ops, std::int16_t version) {
        Buffer whole;
        ops.make_random(random, version, whole);
        const auto text = ops.to_json(whole, version);
        return text && text->starts_with('{') && text->ends_with('}');
    });
}

}  // namespace
}  // namespace odr::protocol
