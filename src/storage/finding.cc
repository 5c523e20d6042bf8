#include "storage/finding.h"

namespace odr::storage {

std::string_view to_string(FindingKind kind) {
    switch (kind) {
        case FindingKind::batch:
            return "batch";
        case FindingKind::records:
            return "records";
        case FindingKind::tail:
            return "tail";
        case FindingKind::offsets:
            return "offsets";
        case FindingKind::leader_epoch:
            return "leader-epoch";
        case FindingKind::producer_sequence:
            return "producer-sequence";
        case FindingKind::offset_index:
            return "offset-index";
        case FindingKind::time_index:
            return "time-index";
        case FindingKind::txn_index:
            return "txn-index";
        case FindingKind::producer_snapshot:
            return "producer-snapshot";
        case FindingKind::checkpoint:
            return "checkpoint";
        case FindingKind::partition_metadata:
            return "partition-metadata";
        case FindingKind::meta_properties:
            return "meta-properties";
        case FindingKind::metadata_snapshot:
            return "metadata-snapshot";
        case FindingKind::leftover:
            return "leftover";
        case FindingKind::unknown_file:
            return "unknown-file";
        case FindingKind::unreadable:
            return "unreadable";
    }
    return {};
}

std::string_view to_string(Severity severity) {
    switch (severity) {
        case Severity::note:
            return "note";
        case Severity::warning:
            return "warning";
        case Severity::damage:
            return "damage";
    }
    return {};
}

}  // namespace odr::storage
