#include "storage/log_verifier.h"

#include <fmt/format.h>

#include "storage/log_directory_test_support.h"

namespace odr::storage::test {
namespace {

TEST(LogVerifierTest, ADirectoryAfterACleanStopIsSound) {
    DirectoryFixture fixture;
    const auto found = fixture.verify();
    EXPECT_EQ(text_of(found), "");
    ASSERT_GE(fixture.segments.size(), 4U);
    EXPECT_EQ(fixture.summary.segments, fixture.segments.size());
    EXPECT_EQ(fixture.summary.records, 40U * 3 + 6);
}

TEST(LogVerifierTest, AFlippedBitAnywhereInASealedSegmentIsFoundInThatFile) {
    DirectoryFixture fixture;
    const std::string file = fixture.segment(1);
    const std::size_t size = fixture.get(file).size();
    for (std::size_t byte = 0; byte < size; ++byte) {
        fixture.flip(file, byte, static_cast<int>(byte % 8));
        const auto found = fixture.verify();
        const bool names_it = std::ranges::any_of(found, [&](const Finding& finding) {
            return finding.severity == Severity::damage && finding.file == "/logs/" + file;
        });
        ASSERT_TRUE(names_it) << "byte " << byte << "\n" << text_of(found);
        fixture.flip(file, byte, static_cast<int>(byte % 8));
    }
    EXPECT_EQ(text_of(fixture.verify()), "");
}

TEST(LogVerifierTest, AFlippedBitInRecordsNamesTheExactBytesAndOffsets) {
    DirectoryFixture fixture;
    for (const auto& batch : fixture.batches(2)) {
        const std::size_t byte = batch.position + record::kRecordBatchOverhead + 3;
        fixture.flip(fixture.segment(2), byte);
        const auto found = fixture.verify();
        ASSERT_EQ(found.size(), 1U) << text_of(found);
        EXPECT_EQ(found[0].kind, FindingKind::batch);
        EXPECT_EQ(found[0].position, batch.position);
        EXPECT_EQ(found[0].length, batch.size);
        EXPECT_EQ(found[0].first_offset, batch.first);
        EXPECT_EQ(found[0].last_offset, batch.last);
        fixture.flip(fixture.segment(2), byte);
    }
}

TEST(LogVerifierTest, BehindABrokenLengthTheNextBatchIsFoundAgain) {
    DirectoryFixture fixture;
    const auto batches = fixture.batches(1);
    fixture.flip(fixture.segment(1), batches[1].position + 11, 2);  // the lowest byte of the length
    const auto found = fixture.verify();
    ASSERT_EQ(found.size(), 1U) << text_of(found);
    EXPECT_EQ(found[0].position, batches[1].position);
    EXPECT_EQ(found[0].length, batches[1].size);
    EXPECT_EQ(found[0].first_offset, batches[1].first);
    EXPECT_EQ(found[0].last_offset, batches[1].last);
}

TEST(LogVerifierTest, AFlippedBitInAnIndexIsFound) {
    for (const std::string_view suffix : {kOffsetIndexSuffix, kTimeIndexSuffix, kTxnIndexSuffix}) {
        DirectoryFixture fixture;
        std::size_t with_entries = 0;
        for (std::size_t i = 0; i < fixture.segments.size(); ++i) {
            const std::string file = fixture.segment(i, suffix);
            if (!fixture.files.exists("/logs/" + file)) continue;
            const std::size_t size = fixture.get(file).size();
            // The version of an aborted transaction's entry says nothing.
            for (std::size_t byte = suffix == kTxnIndexSuffix ? 2 : 0; byte < size; ++byte) {
                ++with_entries;
                fixture.flip(file, byte, static_cast<int>(byte % 8));
                const auto found = fixture.verify();
                const bool names_it =
                    std::ranges::any_of(found, [&](const Finding& finding) { return finding.file == "/logs/" + file; });
                ASSERT_TRUE(names_it || suffix == kTxnIndexSuffix) << file << " byte " << byte << "\n"
                                                                   << text_of(found);
                fixture.flip(file, byte, static_cast<int>(byte % 8));
            }
        }
        EXPECT_GT(with_entries, 0U) << suffix;
    }
}

TEST(LogVerifierTest, AnAbortedTransactionWithoutItsIndexEntryIsFound) {
    DirectoryFixture fixture;
    std::size_t tried = 0;
    for (std::size_t i = 0; i < fixture.segments.size(); ++i) {
        const std::string file = fixture.segment(i, kTxnIndexSuffix);
        if (!fixture.files.exists("/logs/" + file) || fixture.get(file).empty()) continue;
        ++tried;
        const std::string bytes = fixture.get(file);
        fixture.put(file, "");
        const auto found = fixture.verify();
        ASSERT_EQ(found.size(), 1U) << text_of(found);
        EXPECT_EQ(found[0].kind, FindingKind::txn_index);
        EXPECT_EQ(found[0].file, "/logs/" + file);
        fixture.put(file, bytes);
    }
    EXPECT_GE(tried, 2U);
}

TEST(LogVerifierTest, ATornTailIsAWarningBehindTheRecoveryPointAndDamageBelowIt) {
    DirectoryFixture fixture;
    const std::string active = fixture.segment(fixture.segments.size() - 1);
    const auto last = fixture.batches(fixture.segments.size() - 1).back();
    fixture.put(active, fixture.get(active).substr(0, last.position + last.size - 5));
    auto found = fixture.verify();
    ASSERT_GE(count_damage(found), 1U);

    (void)fixture.files.remove("/logs/.kafka_cleanshutdown");
    fixture.put(kRecoveryPointCheckpoint, encode_offset_checkpoint({{fixture.name, last.first}}));
    fixture.put(kHighWatermarkCheckpoint, encode_offset_checkpoint({{fixture.name, last.first}}));
    found = fixture.verify();
    EXPECT_EQ(count_damage(found), 0U) << text_of(found);
    const auto tail = std::ranges::find(found, FindingKind::tail, &Finding::kind);
    ASSERT_NE(tail, found.end());
    EXPECT_EQ(tail->position, last.position);
    EXPECT_EQ(tail->remedy, Remedy::cut_tail);
}

TEST(LogVerifierTest, AMissingSegmentIsAGap) {
    DirectoryFixture fixture;
    for (const char* suffix : {kLogSuffix, kOffsetIndexSuffix, kTimeIndexSuffix, kTxnIndexSuffix})
        (void)fixture.files.remove("/logs/" + fixture.segment(1, suffix));
    const auto found = fixture.verify();
    const auto gap = std::ranges::find(found, FindingKind::offsets, &Finding::kind);
    ASSERT_NE(gap, found.end()) << text_of(found);
    EXPECT_EQ(gap->severity, Severity::damage);
    EXPECT_EQ(gap->first_offset, fixture.segments[1]);
    EXPECT_EQ(gap->last_offset, fixture.segments[2] - 1);
    // In a log that the cleaner went over it is nothing.
    fixture.put(kCleanerOffsetCheckpoint, encode_offset_checkpoint({{fixture.name, fixture.end}}));
    for (const Finding& finding : fixture.verify()) EXPECT_NE(finding.kind, FindingKind::offsets) << finding.what;
}

TEST(LogVerifierTest, BrokenSmallFilesAreNamed) {
    const struct {
        const char* file;
        const char* contents;
        FindingKind kind;
    } cases[] = {
        {"recovery-point-offset-checkpoint", "0\n1\norders 0 x\n", FindingKind::checkpoint},
        {"log-start-offset-checkpoint", "", FindingKind::batch},  // empty is as made
        {"replication-offset-checkpoint", "0\n2\norders 0 1\n", FindingKind::checkpoint},
        {"cleaner-offset-checkpoint", "zero", FindingKind::checkpoint},
        {"meta.properties", "version=1\n", FindingKind::meta_properties},
        {"orders-0/partition.metadata", "version: 0\ntopic_id: no\n", FindingKind::partition_metadata},
        {"orders-0/leader-epoch-checkpoint", "0\n2\n3 50\n0 0\n", FindingKind::checkpoint},
        {"orders-0/12.log", "", FindingKind::unknown_file},
    };
    for (const auto& item : cases) {
        DirectoryFixture fixture;
        fixture.put(item.file, item.contents);
        const auto found = fixture.verify();
        if (item.kind == FindingKind::batch) {
            EXPECT_EQ(text_of(found), "") << item.file;
            continue;
        }
        const bool names_it = std::ranges::any_of(found, [&](const Finding& finding) {
            return finding.kind == item.kind && finding.file == fmt::format("/logs/{}", item.file) &&
                   finding.severity == Severity::damage;
        });
        EXPECT_TRUE(names_it) << item.file << "\n" << text_of(found);
    }
}

TEST(LogVerifierTest, ALogThatEndsBeforeItsRecoveryPointHasLostWhatWasFlushed) {
    DirectoryFixture fixture;
    const std::string active = fixture.segment(fixture.segments.size() - 1);
    const auto last = fixture.batches(fixture.segments.size() - 1).back();
    fixture.put(active, fixture.get(active).substr(0, last.position));
    const auto found = fixture.verify();
    const auto lost = std::ranges::find(found, FindingKind::offsets, &Finding::kind);
    ASSERT_NE(lost, found.end()) << text_of(found);
    EXPECT_EQ(lost->first_offset, last.first);
    EXPECT_EQ(lost->last_offset, fixture.end - 1);
}

TEST(LogVerifierTest, ABrokerThatRunsIsLeftItsTail) {
    DirectoryFixture fixture;
    const std::string active = fixture.segment(fixture.segments.size() - 1);
    const std::string bytes = fixture.get(active);
    fixture.put(active, bytes.substr(0, bytes.size() - 5));
    std::vector<Finding> found;
    LogVerifier verifier{fixture.files,
                         {.directories = {"/logs"}, .threads = 2, .is_locked = [](const std::string&) { return true; }},
                         [&](const Finding& finding) { found.push_back(finding); }};
    const auto summary = verifier.run(kMayBlock);
    ASSERT_TRUE(summary.has_value());
    EXPECT_EQ(summary->damage, 0U) << text_of(found);
    EXPECT_EQ(summary->live_directories, std::vector<std::string>{"/logs"});
}

TEST(LogVerifierTest, SequencesFollowEachOtherOverTheEndOfTheirRange) {
    EXPECT_EQ(sequence_fault(ProducerEpoch{0}, INT32_MAX, ProducerEpoch{0}, 0, false), "");
    EXPECT_EQ(sequence_fault(ProducerEpoch{0}, 4, ProducerEpoch{1}, 0, false), "");
    EXPECT_NE(sequence_fault(ProducerEpoch{0}, 4, ProducerEpoch{0}, 6, false), "");
    EXPECT_EQ(sequence_fault(ProducerEpoch{0}, 4, ProducerEpoch{0}, 6, true), "");
    EXPECT_NE(sequence_fault(ProducerEpoch{0}, 4, ProducerEpoch{0}, 4, true), "");
    EXPECT_NE(sequence_fault(ProducerEpoch{1}, 4, ProducerEpoch{0}, 5, true), "");
}

TEST(LogVerifierTest, OneFolderOfAPartitionIsEnough) {
    DirectoryFixture fixture;
    std::vector<Finding> found;
    LogVerifier verifier{
        fixture.files, {.directories = {"/logs/orders-0/"}}, [&](const Finding& finding) { found.push_back(finding); }};
    const auto summary = verifier.run(kMayBlock);
    ASSERT_TRUE(summary.has_value());
    EXPECT_EQ(summary->partitions, 1U);
    EXPECT_EQ(text_of(found), "");
    LogVerifier other{fixture.files, {.directories = {"/"}}, [](const Finding&) {}};
    EXPECT_FALSE(other.run(kMayBlock).has_value());
}

}  // namespace
}  // namespace odr::storage::test
