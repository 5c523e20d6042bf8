#pragma once

#include <cstdint>

#include "protocol/json.h"
#include "storage/log_verifier.h"

namespace odr::cli {

// Prints findings as they come, a line each, or gathers them into one JSON object.
//
// Threads: one at a time. Memory: as JSON, what is found, up to kJsonFindingsMax; the rest is only counted.
class FindingPrinter {
public:
    static constexpr std::size_t kJsonFindingsMax = 100'000;

    FindingPrinter(bool is_json, storage::Severity least);
    void add(const storage::Finding& finding);
    void finish(const storage::VerifySummary& summary, std::int64_t took_ms);

private:
    const bool is_json_;
    const storage::Severity least_;
    std::size_t count_ = 0;
    protocol::JsonWriter json_;
};

}  // namespace odr::cli
