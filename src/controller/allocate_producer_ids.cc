#include <limits>

#include "controller/operation.h"
#include "controller/partition_updates.h"
#include "protocol/generated/allocate_producer_ids_request.h"
#include "protocol/generated/allocate_producer_ids_response.h"
#include "protocol/generated/producer_ids_record.h"

// AllocateProducerIds (key 67), version 0: a broker gets the next 1,000 producer ids to give out.
// Kafka: ProducerIdControlManager
namespace odr::controller {

Result<Outcome<protocol::AllocateProducerIdsResponse>> perform(State& state, const RequestContext&,
                                                               const protocol::AllocateProducerIdsRequest& request) {
    constexpr std::int32_t kBlock = 1'000;
    ODR_CHECK(check_broker_epoch(state, BrokerId{request.broker_id}, BrokerEpoch{request.broker_epoch}));
    const std::int64_t first = state.image().producer_ids().next_producer_id;
    if (first > std::numeric_limits<std::int64_t>::max() - kBlock)
        return fail(ErrorCode::unknown_server_error, "producer ids are used up");
    Outcome<protocol::AllocateProducerIdsResponse> outcome;
    protocol::ProducerIdsRecord record;
    record.broker_id = request.broker_id;
    record.broker_epoch = request.broker_epoch;
    record.next_producer_id = first + kBlock;
    outcome.records.add(record, 0);
    outcome.answer.response.producer_id_start = first;
    outcome.answer.response.producer_id_len = kBlock;
    return outcome;
}

}  // namespace odr::controller
