#pragma once

#include "controller/operation.h"

namespace odr::controller {

// What a controller writes before it serves: into an empty log the bootstrap records, as one metadata transaction; into
// another one only the end of a transaction that its predecessor left open.
// Needs:  `in_transaction`: the log ends inside one. `is_empty`: it has no record of a state machine (or just an open
//         transaction of bootstrap records, which begins anew).
// Errors: corrupt_message for bootstrap records that are none; unsupported_version for an open transaction at a
//         metadata.version without transactions.
// Kafka:  ActivationRecordsGenerator.
Result<void> add_activation_records(const State& state, bool is_empty, bool in_transaction,
                                    metadata::RecordList& records);

// This controller's endpoints and features, for brokers and tools to find. Kafka: ControllerRegistrationManager.
void add_controller_registration(const State& state, metadata::RecordList& records);

}  // namespace odr::controller
