#include "raft/control_records.h"

#include <algorithm>

#include "protocol/generated/kraft_version_record.h"
#include "protocol/generated/leader_change_message.h"
#include "protocol/generated/snapshot_footer_record.h"
#include "protocol/generated/snapshot_header_record.h"
#include "protocol/generated/voters_record.h"
#include "protocol/reader.h"
#include "protocol/writer.h"

namespace odr::raft {

namespace {

template <class Message>
void append(record::RecordBatchBuilder& batch, TimestampMs now, record::ControlRecordType type,
            const Message& message) {
    protocol::Buffer value;
    protocol::encode_message(value, 0, message);
    batch.append_control(now, type, value.view());
}

template <class Message>
Result<Message> read(ByteView value) {
    Result<Message> message{std::in_place};
    protocol::Reader in{value};
    if (!protocol::decode(in, 0, *message)) message = fail(ErrorCode::corrupt_message, "control record cannot be read");
    return message;
}

}  // namespace

void append_voters(record::RecordBatchBuilder& batch, TimestampMs now, std::int16_t kraft_version,
                   const VoterSet& voters) {
    protocol::KRaftVersionRecord version;
    version.kraft_version = kraft_version;
    append(batch, now, record::ControlRecordType::kraft_version, version);
    if (voters.empty()) return;

    protocol::VotersRecord record;
    for (const VoterNode& voter : voters) {
        protocol::VotersRecord::Voter each;
        each.voter_id = voter.key.id.raw();
        each.voter_directory_id = voter.key.directory_id;
        for (const VoterEndpoint& endpoint : voter.endpoints)
            each.endpoints.push_back({endpoint.listener, endpoint.host, endpoint.port});
        each.kraft_version_feature = {voter.kraft_version_min, voter.kraft_version_max};
        record.voters.push_back(std::move(each));
    }
    append(batch, now, record::ControlRecordType::kraft_voters, record);
}

void append_leader_change(record::RecordBatchBuilder& batch, TimestampMs now, BrokerId leader, const VoterSet& voters) {
    protocol::LeaderChangeMessage message;
    message.leader_id = leader.raw();
    for (const VoterNode& voter : voters) message.voters.push_back({voter.key.id.raw(), voter.key.directory_id});
    message.granting_voters.push_back({leader.raw(), {}});
    append(batch, now, record::ControlRecordType::leader_change, message);
}

void append_snapshot_header(record::RecordBatchBuilder& batch, TimestampMs now, TimestampMs last_contained) {
    protocol::SnapshotHeaderRecord header;
    header.last_contained_log_timestamp = last_contained.raw();
    append(batch, now, record::ControlRecordType::snapshot_header, header);
}

void append_snapshot_footer(record::RecordBatchBuilder& batch, TimestampMs now) {
    append(batch, now, record::ControlRecordType::snapshot_footer, protocol::SnapshotFooterRecord{});
}

Result<std::int16_t> parse_kraft_version(ByteView value) {
    ODR_TRY(record, read<protocol::KRaftVersionRecord>(value));
    if (record.kraft_version < 0 || record.kraft_version > 1)
        return fail(ErrorCode::unsupported_version, "the metadata log has an unknown kraft.version");
    return record.kraft_version;
}

Result<VoterSet> parse_voters(ByteView value) {
    ODR_TRY(record, read<protocol::VotersRecord>(value));
    VoterSet voters;
    for (const auto& each : record.voters) {
        VoterNode voter{.key = {BrokerId{each.voter_id}, each.voter_directory_id},
                        .endpoints = {},
                        .kraft_version_min = each.kraft_version_feature.min_supported_version,
                        .kraft_version_max = each.kraft_version_feature.max_supported_version};
        for (const auto& endpoint : each.endpoints)
            voter.endpoints.push_back({std::string{endpoint.name}, std::string{endpoint.host}, endpoint.port});
        voters.push_back(std::move(voter));
    }
    std::ranges::sort(voters, {}, [](const VoterNode& voter) { return voter.key.id; });
    return voters;
}

Result<TimestampMs> parse_snapshot_header(ByteView value) {
    ODR_TRY(header, read<protocol::SnapshotHeaderRecord>(value));
    return TimestampMs{header.last_contained_log_timestamp};
}

}  // namespace odr::raft
