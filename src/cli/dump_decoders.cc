#include "cli/dump_decoders.h"

#include <fmt/format.h>

#include "protocol/coordinator_records.h"
#include "protocol/generated/all_messages.h"
#include "protocol/json.h"
#include "protocol/metadata_records.h"

namespace odr::protocol {

// Of the library odr_protocol_json; the generator declares them nowhere.
#define ODR_MESSAGE(Message, kind, low, high) void write_json(JsonWriter& out, std::int16_t version, const Message&);
#include "protocol/generated/all_messages.inc"
#undef ODR_MESSAGE

}  // namespace odr::protocol

namespace odr::cli {
namespace {

using protocol::JsonWriter;
using protocol::Reader;

// Type name as Kafka's enum has it: TopicRecord is TOPIC_RECORD.
std::string upper_snake(std::string_view name) {
    std::string out;
    for (std::size_t i = 0; i < name.size(); ++i) {
        const char c = name[i];
        if (c >= 'A' && c <= 'Z' && i != 0) out += '_';
        out += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
    return out;
}

template <class Message>
bool write_if_read(JsonWriter& out, std::int16_t version, ByteView body) {
    if (version < Message::kMinVersion || version > Message::kMaxVersion) return false;
    Message message;
    Reader in{body};
    if (!decode(in, version, message)) return false;
    write_json(out, version, message);
    return true;
}

// The subscription or assignment of a member, unpacked where it can be.
template <class Message>
void write_embedded(JsonWriter& out, ByteView bytes) {
    if (bytes.size() >= 2) {
        const auto version = load_be<std::int16_t>(bytes.data());
        JsonWriter inner;
        if (write_if_read<Message>(inner, version, bytes.subspan(2))) return out.json(inner.text());
    }
    out.value(bytes);
}

void write_group(JsonWriter& out, std::int16_t version, const protocol::GroupMetadataValue& group) {
    const auto nullable = [&](std::string_view name, const std::optional<std::string_view>& value) {
        out.name(name);
        value ? out.value(*value) : out.null();
    };
    const auto field = [&](std::string_view name, const auto& value) {
        out.name(name);
        out.value(value);
    };
    out.begin_object();
    field("protocolType", group.protocol_type);
    field("generation", group.generation);
    nullable("protocol", group.protocol);
    nullable("leader", group.leader);
    if (version >= 2) field("currentStateTimestamp", group.current_state_timestamp);
    out.name("members");
    out.begin_array();
    for (const auto& member : group.members) {
        out.begin_object();
        field("memberId", member.member_id);
        if (version >= 3) nullable("groupInstanceId", member.group_instance_id);
        field("clientId", member.client_id);
        field("clientHost", member.client_host);
        if (version >= 1) field("rebalanceTimeout", member.rebalance_timeout);
        field("sessionTimeout", member.session_timeout);
        out.name("subscription");
        write_embedded<protocol::ConsumerProtocolSubscription>(out, member.subscription);
        out.name("assignment");
        write_embedded<protocol::ConsumerProtocolAssignment>(out, member.assignment);
        out.end_object();
    }
    out.end_array();
    out.end_object();
}

enum class Outcome { written, unknown_type, unknown_version, broken };

template <class Key, class Value>
struct Pair {
    static constexpr std::int16_t kType = Key::kApiKey;
    static Outcome key(JsonWriter& out, ByteView body) {
        return write_if_read<Key>(out, 0, body) ? Outcome::written : Outcome::broken;
    }
    static Outcome value(JsonWriter& out, std::int16_t version, ByteView body) {
        if (version < Value::kMinVersion || version > Value::kMaxVersion) return Outcome::unknown_version;
        if constexpr (std::is_same_v<Value, protocol::GroupMetadataValue>) {
            Value group;
            Reader in{body};
            if (!decode(in, version, group)) return Outcome::broken;
            if (group.protocol_type == "consumer") {
                write_group(out, version, group);
                return Outcome::written;
            }
        }
        return write_if_read<Value>(out, version, body) ? Outcome::written : Outcome::broken;
    }
};

template <class... Pairs>
struct PairTable {
    static Outcome key(JsonWriter& out, std::int16_t type, ByteView body) {
        Outcome outcome = Outcome::unknown_type;
        (void)((type == Pairs::kType && (outcome = Pairs::key(out, body), true)) || ...);
        return outcome;
    }
    static Outcome value(JsonWriter& out, std::int16_t type, std::int16_t version, ByteView body) {
        Outcome outcome = Outcome::unknown_type;
        (void)((type == Pairs::kType && (outcome = Pairs::value(out, version, body), true)) || ...);
        return outcome;
    }
};

#define ODR_PAIR(Name) Pair<protocol::Name##Key, protocol::Name##Value>
using GroupRecords = PairTable<
    ODR_PAIR(LegacyOffsetCommit), ODR_PAIR(OffsetCommit), ODR_PAIR(GroupMetadata), ODR_PAIR(ConsumerGroupMetadata),
    ODR_PAIR(ConsumerGroupPartitionMetadata), ODR_PAIR(ConsumerGroupMemberMetadata),
    ODR_PAIR(ConsumerGroupTargetAssignmentMetadata), ODR_PAIR(ConsumerGroupTargetAssignmentMember),
    ODR_PAIR(ConsumerGroupCurrentMemberAssignment), ODR_PAIR(ConsumerGroupRegularExpression),
    ODR_PAIR(ShareGroupMemberMetadata), ODR_PAIR(ShareGroupMetadata), ODR_PAIR(ShareGroupTargetAssignmentMetadata),
    ODR_PAIR(ShareGroupTargetAssignmentMember), ODR_PAIR(ShareGroupCurrentMemberAssignment),
    ODR_PAIR(ShareGroupStatePartitionMetadata), ODR_PAIR(StreamsGroupMetadata), ODR_PAIR(StreamsGroupMemberMetadata),
    ODR_PAIR(StreamsGroupTargetAssignmentMetadata), ODR_PAIR(StreamsGroupTargetAssignmentMember),
    ODR_PAIR(StreamsGroupCurrentMemberAssignment), ODR_PAIR(StreamsGroupTopology)>;
using TransactionRecords = PairTable<ODR_PAIR(TransactionLog)>;
using ShareStateRecords = PairTable<ODR_PAIR(ShareSnapshot), ODR_PAIR(ShareUpdate)>;
#undef ODR_PAIR

std::string wrapped(std::string_view name, std::int16_t number, std::string_view data) {
    return fmt::format(R"({{"{}":"{}","data":{}}})", name, number, data);
}

// Keys and values of a coordinator's topic. Kafka: DumpLogSegments.CoordinatorRecordMessageParser.
template <class Table>
class CoordinatorDecoder final : public RecordDecoder {
public:
    DecodedRecord decode(Offset offset, const std::optional<ByteView>& key,
                         const std::optional<ByteView>& value) const override {
        const auto told = [](std::string text) {
            return DecodedRecord{.key = DecodedField{std::move(text)}, .value = {}};
        };
        const auto error = [&](std::string_view why) {
            return told(fmt::format("Error at offset {}, skipping. {}", offset, why));
        };
        if (!key) return error("message had a missing key");
        const auto key_frame = protocol::decode_coordinator_frame(*key);
        if (!key_frame) return error("Could not read version from key's buffer.");
        const std::int16_t type = key_frame->number;
        JsonWriter key_json;
        const Outcome key_outcome = Table::key(key_json, type, key_frame->body);
        if (key_outcome == Outcome::unknown_type)
            return told(fmt::format("Unknown record type {} at offset {}, skipping.", type, offset));
        if (key_outcome != Outcome::written)
            return error(fmt::format("Could not read record with version {} from key's buffer.", type));
        DecodedRecord out{.key = DecodedField{wrapped("type", type, key_json.text()), true},
                          .value = DecodedField{"<DELETE>"}};
        if (!value) return out;
        const auto frame = protocol::decode_coordinator_frame(*value);
        if (!frame) return error("Could not read version from value's buffer.");
        JsonWriter json;
        switch (Table::value(json, type, frame->number, frame->body)) {
            case Outcome::written:
                out.value = DecodedField{wrapped("version", frame->number, json.text()), true};
                return out;
            case Outcome::unknown_version:
                return error(fmt::format("Found an unknown record version {} for {} type", frame->number, type));
            case Outcome::unknown_type:
            case Outcome::broken:
                break;
        }
        return error(fmt::format("Could not read record with version {} from value's buffer.", frame->number));
    }
};

class MetadataDecoder final : public RecordDecoder {
public:
    DecodedRecord decode(Offset offset, const std::optional<ByteView>&,
                         const std::optional<ByteView>& value) const override {
        const auto frame = protocol::decode_metadata_frame(value.value_or(ByteView{}));
        if (!frame)
            return {.key = {},
                    .value = DecodedField{fmt::format("Error at {}, skipping. {}", offset, frame.error().what)}};
        JsonWriter data;
        std::string_view name;
        bool is_written = false;
        switch (static_cast<protocol::MetadataRecordType>(frame->type)) {
#define ODR_METADATA_RECORD(Record, type)                                                \
    case protocol::MetadataRecordType::type:                                             \
        name = protocol::Record::kName;                                                  \
        is_written = write_if_read<protocol::Record>(data, frame->version, frame->body); \
        break;
#include "protocol/generated/metadata_records.inc"
#undef ODR_METADATA_RECORD
        }
        if (!is_written) {
            return {.key = {},
                    .value = DecodedField{fmt::format(
                        "Error at {}, skipping. Failed to deserialize record with type {}", offset, frame->type)}};
        }
        return {.key = {},
                .value = DecodedField{fmt::format(R"({{"type":"{}","version":{},"data":{}}})", upper_snake(name),
                                                  frame->version, data.text()),
                                      true}};
    }
};

// __remote_log_metadata: frame version, type and version as varints. Kafka prints Java objects; this is their JSON.
class RemoteMetadataDecoder final : public RecordDecoder {
public:
    DecodedRecord decode(Offset offset, const std::optional<ByteView>&,
                         const std::optional<ByteView>& value) const override {
        const auto frame = protocol::decode_metadata_frame(value.value_or(ByteView{}));
        JsonWriter json;
        if (frame && write_body(json, *frame)) return {.key = {}, .value = DecodedField{json.text(), true}};
        return {
            .key = {},
            .value = DecodedField{fmt::format("Error at offset {}, skipping. It is no remote log metadata", offset)}};
    }

private:
    static bool write_body(JsonWriter& json, const protocol::MetadataRecordFrame& frame) {
        switch (frame.type) {
            case protocol::RemoteLogSegmentMetadataRecord::kApiKey:
                return write_if_read<protocol::RemoteLogSegmentMetadataRecord>(json, frame.version, frame.body);
            case protocol::RemoteLogSegmentMetadataUpdateRecord::kApiKey:
                return write_if_read<protocol::RemoteLogSegmentMetadataUpdateRecord>(json, frame.version, frame.body);
            case protocol::RemotePartitionDeleteMetadataRecord::kApiKey:
                return write_if_read<protocol::RemotePartitionDeleteMetadataRecord>(json, frame.version, frame.body);
            case protocol::RemoteLogSegmentMetadataSnapshotRecord::kApiKey:
                return write_if_read<protocol::RemoteLogSegmentMetadataSnapshotRecord>(json, frame.version, frame.body);
        }
        return false;
    }
};

enum class PlainKind { string, integer, int64, bytes };

std::optional<PlainKind> plain_kind(std::string_view name) {
    constexpr std::string_view kPackage = "org.apache.kafka.tools.api.";
    if (name.starts_with(kPackage)) name.remove_prefix(kPackage.size());
    if (name.empty() || name == "StringDecoder" || name == "string") return PlainKind::string;
    if (name == "IntegerDecoder" || name == "integer") return PlainKind::integer;
    if (name == "LongDecoder" || name == "long") return PlainKind::int64;
    if (name == "DefaultDecoder" || name == "default") return PlainKind::bytes;
    return std::nullopt;
}

class PlainDecoder final : public RecordDecoder {
public:
    PlainDecoder(PlainKind key, PlainKind value) : key_{key}, value_{value} {}
    DecodedRecord decode(Offset, const std::optional<ByteView>& key,
                         const std::optional<ByteView>& value) const override {
        DecodedRecord out;
        if (key) out.key = DecodedField{text_of(key_, *key)};
        if (value) out.value = DecodedField{text_of(value_, *value)};
        return out;
    }

private:
    static std::string text_of(PlainKind kind, ByteView bytes) {
        if (kind == PlainKind::integer && bytes.size() == 4) return fmt::to_string(load_be<std::int32_t>(bytes.data()));
        if (kind == PlainKind::int64 && bytes.size() == 8) return fmt::to_string(load_be<std::int64_t>(bytes.data()));
        if (kind == PlainKind::string) return java_string(bytes);
        std::string hex = "0x";
        for (const std::uint8_t byte : bytes) fmt::format_to(std::back_inserter(hex), "{:02x}", byte);
        return hex;
    }

    PlainKind key_, value_;
};

template <class Message>
std::optional<std::string> control_json(const std::optional<ByteView>& value) {
    if (!value || value->size() < 2) return std::nullopt;
    // The version stands in the body's own first field.
    const auto version = load_be<std::int16_t>(value->data());
    JsonWriter json;
    if (!write_if_read<Message>(json, version, *value)) return std::nullopt;
    return json.text();
}

// How many bytes a sequence that starts with `first` has; 0: none starts so.
std::size_t sequence_length(std::uint8_t first) {
    if (first >= 0xc2 && first <= 0xdf) return 2;
    if (first >= 0xe0 && first <= 0xef) return 3;
    if (first >= 0xf0 && first <= 0xf4) return 4;
    return 0;
}
// What the second byte of a sequence may be: no overlong forms, no surrogates, nothing above U+10FFFF.
bool is_second(std::uint8_t first, std::uint8_t second) {
    std::uint8_t low = 0x80, high = 0xbf;
    if (first == 0xe0) low = 0xa0;
    if (first == 0xed) high = 0x9f;
    if (first == 0xf0) low = 0x90;
    if (first == 0xf4) high = 0x8f;
    return second >= low && second <= high;
}

}  // namespace

std::string java_string(ByteView bytes) {
    std::string out;
    out.reserve(bytes.size());
    for (std::size_t i = 0; i < bytes.size();) {
        if (bytes[i] < 0x80) {
            out += static_cast<char>(bytes[i++]);
            continue;
        }
        const std::size_t length = sequence_length(bytes[i]);
        std::size_t have = 1;
        while (have < length && i + have < bytes.size() &&
               (have == 1 ? is_second(bytes[i], bytes[i + 1]) : (bytes[i + have] & 0xc0) == 0x80)) {
            ++have;
        }
        if (length != 0 && have == length) {
            out.append(reinterpret_cast<const char*>(bytes.data()) + i, length);
        } else {
            out += "\xef\xbf\xbd";
        }
        i += have;
    }
    return out;
}

std::unique_ptr<RecordDecoder> make_record_decoder(std::string_view name) {
    if (name == "offsets") return std::make_unique<CoordinatorDecoder<GroupRecords>>();
    if (name == "transaction-log") return std::make_unique<CoordinatorDecoder<TransactionRecords>>();
    if (name == "share-group-state") return std::make_unique<CoordinatorDecoder<ShareStateRecords>>();
    if (name == "cluster-metadata") return std::make_unique<MetadataDecoder>();
    if (name == "remote-log-metadata") return std::make_unique<RemoteMetadataDecoder>();
    return nullptr;
}

std::unique_ptr<RecordDecoder> make_plain_decoder(std::string_view key_class, std::string_view value_class) {
    const auto key = plain_kind(key_class);
    const auto value = plain_kind(value_class);
    if (!key || !value) return nullptr;
    return std::make_unique<PlainDecoder>(*key, *value);
}

std::optional<ControlText> describe_control_record(const record::Record& record) {
    const auto type = record::parse_control_record_key(record.key);
    if (!type) return std::nullopt;
    const auto json = [&](std::string name, std::string separator,
                          std::optional<std::string> value) -> std::optional<ControlText> {
        if (!value) return std::nullopt;
        return ControlText{std::move(name), std::move(separator), *std::move(value), true};
    };
    switch (*type) {
        case record::ControlRecordType::abort:
        case record::ControlRecordType::commit: {
            const auto marker = record::EndTxnMarker::parse(record.value);
            if (!marker) return std::nullopt;
            return ControlText{"endTxnMarker", ": ", *type == record::ControlRecordType::abort ? "ABORT" : "COMMIT",
                               false, marker->coordinator_epoch};
        }
        case record::ControlRecordType::leader_change:
            return json("LeaderChange", ": ", control_json<protocol::LeaderChangeMessage>(record.value));
        case record::ControlRecordType::snapshot_header:
            return json("SnapshotHeader", " ", control_json<protocol::SnapshotHeaderRecord>(record.value));
        case record::ControlRecordType::snapshot_footer:
            return json("SnapshotFooter", " ", control_json<protocol::SnapshotFooterRecord>(record.value));
        case record::ControlRecordType::kraft_version:
            return json("KRaftVersion", " ", control_json<protocol::KRaftVersionRecord>(record.value));
        case record::ControlRecordType::kraft_voters:
            return json("KRaftVoters", " ", control_json<protocol::VotersRecord>(record.value));
        case record::ControlRecordType::unknown:
            break;
    }
    const auto number = load_be<std::int16_t>(record.key->data() + 2);
    return ControlText{"controlType", ": ", fmt::format("UNKNOWN({})", number)};
}

}  // namespace odr::cli
