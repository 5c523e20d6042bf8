// InitProducerId (key 22), versions 0-5, for producers without a transactional id.
// Kafka: KafkaApis.handleInitProducerIdRequest, TransactionCoordinator.handleInitProducerId.
#include "protocol/generated/init_producer_id_request.h"
#include "protocol/generated/init_producer_id_response.h"
#include "server/handlers/serve.h"
#include "server/producer_ids.h"

namespace odr::server {
namespace {

using protocol::InitProducerIdRequest;
using protocol::InitProducerIdResponse;

InitProducerIdResponse refuse(ErrorCode code) {
    InitProducerIdResponse response;
    response.error_code = static_cast<std::int16_t>(code);
    response.producer_epoch = -1;
    return response;
}

io::Task<InitProducerIdResponse> handle_init_producer_id(RequestContext& context, InitProducerIdRequest request) {
    if (request.transactional_id && request.transactional_id->empty()) co_return refuse(ErrorCode::invalid_request);
    if (request.transactional_id) co_return refuse(ErrorCode::coordinator_not_available);
    // Without transactions an id and epoch that the client still has mean nothing: it gets a new id.
    const Result<ProducerId> id = co_await context.services().producer_ids->next();
    if (!id) co_return refuse(id.error().code);
    InitProducerIdResponse response;
    response.producer_id = id->raw();
    response.producer_epoch = 0;
    co_return response;
}

}  // namespace

io::Task<void> serve_init_producer_id(RequestContext& context) { return serve<&handle_init_producer_id>(context); }

}  // namespace odr::server
