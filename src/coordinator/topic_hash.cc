#include "coordinator/topic_hash.h"

#include <algorithm>
#include <bit>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace odr::coordinator {
namespace {

// The byte stream that Kafka's hash library is fed with: little-endian numbers, texts as UTF-16 with their length
// behind.
class HashStream {
public:
    template <class T>
    void number(T value) {
        for (std::size_t i = 0; i < sizeof value; ++i) {
            bytes_.push_back(static_cast<std::uint8_t>(static_cast<std::uint64_t>(value) >> (8 * i)));
        }
    }
    void text(std::string_view utf8) {
        std::int32_t length = 0;
        for (std::size_t at = 0; at < utf8.size();) length += unit(utf8, at);
        number(length);
    }
    static std::int32_t utf16_length(std::string_view utf8) {
        HashStream counted;
        std::int32_t length = 0;
        for (std::size_t at = 0; at < utf8.size();) length += counted.unit(utf8, at);
        return length;
    }
    std::int64_t hash() const { return static_cast<std::int64_t>(XXH3_64bits(bytes_.data(), bytes_.size())); }

private:
    // Writes the character at `at` as one or two units, moves on, and gives their count.
    std::int32_t unit(std::string_view utf8, std::size_t& at) {
        const auto first = static_cast<std::uint8_t>(utf8[at++]);
        const int more = first < 0xc0 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
        std::uint32_t code = more == 0 ? first : first & (0x3fU >> more);
        for (int i = 0; i < more && at < utf8.size(); ++i)
            code = code << 6 | (static_cast<std::uint8_t>(utf8[at++]) & 0x3fU);
        if (code < 0x10000) {
            number(static_cast<std::uint16_t>(code));
            return 1;
        }
        code -= 0x10000;
        number(static_cast<std::uint16_t>(0xd800 + (code >> 10)));
        number(static_cast<std::uint16_t>(0xdc00 + (code & 0x3ff)));
        return 2;
    }

    std::vector<std::uint8_t> bytes_;
};

std::uint64_t half_of(const Uuid& id, std::size_t from) {
    std::uint64_t half = 0;
    for (std::size_t i = 0; i < 8; ++i) half = half << 8 | id.bytes[from + i];
    return half;
}

}  // namespace

std::int64_t topic_hash(const metadata::TopicImage& topic, const metadata::ClusterImage& cluster) {
    HashStream stream;
    stream.number(std::uint8_t{0});  // version of this computation
    stream.number(half_of(topic.id, 0));
    stream.number(half_of(topic.id, 8));
    stream.text(topic.name);
    const auto count = static_cast<std::int32_t>(topic.partitions.size());
    stream.number(count);
    for (std::int32_t index = 0; index < count; ++index) {
        stream.number(index);
        const metadata::PartitionRegistration* partition = topic.partition(PartitionIndex{index});
        if (partition == nullptr) continue;
        std::vector<std::string_view> racks;
        for (const BrokerId replica : partition->replicas) {
            const metadata::BrokerRegistration* broker = cluster.broker(replica);
            if (broker != nullptr && broker->rack) racks.push_back(*broker->rack);
        }
        std::ranges::sort(racks);
        for (const std::string_view rack : racks) {
            stream.number(HashStream::utf16_length(rack));
            stream.text(rack);
        }
    }
    return stream.hash();
}

std::int64_t group_metadata_hash(const std::map<std::string_view, std::int64_t>& hashes) {
    if (hashes.empty()) return 0;
    HashStream stream;
    for (const auto& [name, hash] : hashes) stream.number(hash);
    return stream.hash();
}

}  // namespace odr::coordinator
