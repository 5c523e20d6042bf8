#include "controller/activation.h"

#include <fmt/format.h>

#include "base/log.h"
#include "protocol/generated/abort_transaction_record.h"
#include "protocol/generated/register_controller_record.h"

namespace odr::controller {
Result<void> add_activation_records(const State& state, bool is_empty, bool in_transaction,
                                    metadata::RecordList& records) {
    if (is_empty) {
        const metadata::BootstrapMetadata& bootstrap = state.options.bootstrap;
        log::info("the metadata log is empty: {} bootstrap records from {}, metadata.version {}",
                  bootstrap.records.size(), bootstrap.source, bootstrap.metadata_version.name());
        ODR_TRY(first,
                metadata::activation_records(bootstrap, state.config().limits().min_insync_replicas, in_transaction));
        records = std::move(first);
        return {};
    }
    if (!in_transaction) return {};
    if (!state.metadata_version().is_metadata_transaction_supported())
        return fail(ErrorCode::unsupported_version, "the metadata log ends inside a transaction");
    log::warn("the metadata log ends inside a transaction, which is aborted");
    protocol::AbortTransactionRecord abort;
    abort.reason = "Controller failover";
    records.add(abort, 0);
    return {};
}

void add_controller_registration(const State& state, metadata::RecordList& records) {
    if (!state.metadata_version().is_controller_registration_supported()) return;
    protocol::RegisterControllerRecord record;
    record.controller_id = state.config().node_id().raw();
    record.incarnation_id = state.random.uuid();
    for (const metadata::Endpoint& endpoint : state.options.listeners)
        record.end_points.push_back({endpoint.listener, endpoint.host, endpoint.port, endpoint.security_protocol});
    for (const auto& feature : metadata::supported_features())
        record.features.push_back({feature.name, feature.min, feature.max});
    records.add(record, 0);
}

}  // namespace odr::controller
