#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "storage/finding.h"
#include "storage/log_verifier.h"

namespace odr::storage {

// One change that is safe: what it makes can be derived from what is sound, and nothing sound is lost.
struct RepairStep {
    Remedy remedy = Remedy::none;
    std::string file;    // what is written or removed
    std::string reason;  // what was found
    std::string text;    // what is done, as a sentence
};

struct RepairPlan {
    std::vector<RepairStep> steps;       // in the order in which they are done
    std::vector<Finding> beyond_repair;  // damage that no step mends
    VerifySummary summary;
};

// Mends what can be mended in log directories that no broker uses.
//
// Owner:   a tool.
// Keeps:   what is replaced or cut stands beside as <file>.damaged (or .damaged.2, ...); nobody reads those again.
// Never:   touches a batch whose CRC is right, cuts below the recovery point, or guesses.
class LogRepair {
public:
    LogRepair(io::FileSystem& files, VerifyOptions options) : files_{files}, options_{std::move(options)} {}

    // Errors: as LogVerifier::run; failed_path() names it.
    Result<RepairPlan> plan(io::MayBlock, const VerifyProgress** progress = nullptr);
    // Takes the locks of the directories that the plan is about, until the object goes.
    // Errors: kafka_storage_error, EAGAIN when a broker holds one; failed_path() names it.
    Result<void> lock();
    // Errors: kafka_storage_error with the reason, where the step cannot be done after all; nothing is changed then.
    Result<void> execute(io::MayBlock, const RepairStep& step);
    const std::string& failed_path() const { return failed_path_; }

private:
    Result<std::string> set_aside(const std::string& path);
    Result<void> replace(io::MayBlock, const std::string& path, ByteView contents);
    Result<void> rebuild_indexes(io::MayBlock, const std::string& index);
    Result<void> rebuild_txn_index(io::MayBlock, const std::string& path);
    Result<void> rebuild_snapshot(io::MayBlock, const std::string& path);
    Result<void> rebuild_epochs(io::MayBlock, const std::string& path);
    Result<void> cut_tail(io::MayBlock, const std::string& path);
    Result<void> rewrite_checkpoint(io::MayBlock, const std::string& path);
    Result<void> rewrite_topic_id(io::MayBlock, const std::string& path);

    io::FileSystem& files_;
    VerifyOptions options_;
    std::string failed_path_;
    std::vector<std::string> directories_;
    std::vector<std::unique_ptr<io::FileLock>> locks_;
    std::unique_ptr<LogVerifier> verifier_;  // of the last plan
};

}  // namespace odr::storage
