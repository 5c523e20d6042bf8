#include "record/compression.h"

#include <lz4frame.h>
#include <snappy.h>
#include <zstd.h>

#include "record/test_support.h"

namespace odr::record {
namespace {

using test::Bytes;
using test::testdata;

constexpr std::size_t kNoLimit = std::size_t{1} << 30;

Bytes packed(Compression how, ByteView input) {
    Bytes out;
    EXPECT_TRUE(compress(how, input, out));
    return out;
}
Result<Bytes> unpacked(CompressionType type, ByteView input, std::size_t limit = kNoLimit) {
    Bytes out;
    ODR_CHECK(decompress(type, input, limit, out));
    return out;
}

TEST(CompressionTest, EveryCodecGivesBackRandomBytesOfAnySize) {
    SeededRandom random{7};
    for (const CompressionType type : test::kAllTypes) {
        for (const std::size_t size : {0, 1, 15, 100, 4096, 32'767, 32'768, 32'769, 65'536, 65'537, 131'072, 400'000}) {
            const Bytes input = test::random_bytes(random, size);
            const Bytes stream = packed(Compression::of(type), input);
            if (size >= 4096 && type != CompressionType::none) {
                EXPECT_LT(stream.size(), size);
            }
            if (size == 0 && type == CompressionType::none) continue;
            EXPECT_EQ(unpacked(type, stream).value(), input) << to_string(type) << " " << size;
        }
    }
}

TEST(CompressionTest, EveryLevelOfEveryCodecGivesBackItsInput) {
    SeededRandom random{8};
    const Bytes input = test::random_bytes(random, 100'000);
    const std::pair<CompressionType, std::vector<int>> levels[] = {
        {CompressionType::gzip, {-1, 1, 5, 9}},
        {CompressionType::lz4, {1, 3, 8, 9, 10, 17}},
        {CompressionType::zstd, {-131072, -5, 1, 3, 19, 22}},
    };
    for (const auto& [type, list] : levels) {
        for (const int level : list) {
            ASSERT_TRUE(is_valid_level(type, level));
            const Bytes stream = packed({.type = type, .level = level}, input);
            EXPECT_EQ(unpacked(type, stream).value(), input) << to_string(type) << " " << level;
        }
    }
}

TEST(CompressionTest, LevelsOutsideKafkasRangesAreNotValid) {
    EXPECT_FALSE(is_valid_level(CompressionType::gzip, 0));
    EXPECT_FALSE(is_valid_level(CompressionType::gzip, 10));
    EXPECT_FALSE(is_valid_level(CompressionType::lz4, 0));
    EXPECT_FALSE(is_valid_level(CompressionType::lz4, 18));
    EXPECT_FALSE(is_valid_level(CompressionType::zstd, 23));
    EXPECT_FALSE(is_valid_level(CompressionType::zstd, -131073));
}

TEST(CompressionTest, AppendsToWhatIsThere) {
    Bytes out = {1, 2, 3};
    ASSERT_TRUE(compress(Compression::of(CompressionType::lz4), as_bytes("hello"), out));
    EXPECT_EQ((Bytes{out.begin(), out.begin() + 3}), (Bytes{1, 2, 3}));
    ASSERT_TRUE(decompress(CompressionType::lz4, ByteView{out}.subspan(3), 100, out));
    EXPECT_EQ(as_text(ByteView{out}.last(5)), "hello");
}

TEST(CompressionTest, UnpacksWhatKafkaPackedWithEveryCodecAndLevel) {
    const Bytes plain = testdata("batch_none.bin");
    const Bytes expected{plain.begin() + kRecordBatchOverhead, plain.end()};
    for (const char* name : {"gzip", "gzip_1", "snappy", "lz4", "lz4_17", "zstd", "zstd_22"}) {
        const Bytes bytes = testdata("batch_" + std::string{name} + ".bin");
        const auto batch = RecordBatchView::parse(bytes).value();
        EXPECT_EQ(unpacked(batch.compression(), batch.payload()).value(), expected) << name;
    }
}

TEST(CompressionTest, UnpacksStreamsOfSeveralBlocksThatKafkaWrote) {
    const Bytes snappy_bytes = testdata("batch_snappy_blocks.bin");
    const Bytes lz4_bytes = testdata("batch_lz4_blocks.bin");
    const auto a = unpacked(CompressionType::snappy, RecordBatchView::parse(snappy_bytes)->payload());
    const auto b = unpacked(CompressionType::lz4, RecordBatchView::parse(lz4_bytes)->payload());
    ASSERT_TRUE(a && b);
    EXPECT_GT(a->size(), 100'000U);
    EXPECT_EQ(*a, *b);
}

TEST(CompressionTest, SnappyFramingIsByteForByteKafkas) {
    const Bytes theirs = testdata("batch_snappy_blocks.bin");
    const ByteView payload = RecordBatchView::parse(theirs)->payload();
    const Bytes ours =
        packed(Compression::of(CompressionType::snappy), unpacked(CompressionType::snappy, payload).value());
    ASSERT_GT(ours.size(), 20U);
    EXPECT_TRUE(std::equal(ours.begin(), ours.begin() + 16, payload.begin()));  // magic, version, compatible version
    // the first block of both holds 32 KiB
    std::size_t size = 0;
    const auto* block = reinterpret_cast<const char*>(payload.data() + 20);
    ASSERT_TRUE(snappy::GetUncompressedLength(block, payload.size() - 20, &size));
    EXPECT_EQ(size, 32'768U);
    ASSERT_TRUE(
        snappy::GetUncompressedLength(reinterpret_cast<const char*>(ours.data() + 20), ours.size() - 20, &size));
    EXPECT_EQ(size, 32'768U);
}

TEST(CompressionTest, Lz4FrameHeaderIsKafkas) {
    const Bytes theirs = testdata("batch_lz4_blocks.bin");
    const ByteView payload = RecordBatchView::parse(theirs)->payload();
    const Bytes ours = packed(Compression::of(CompressionType::lz4), unpacked(CompressionType::lz4, payload).value());
    EXPECT_TRUE(std::equal(ours.begin(), ours.begin() + 7, payload.begin()));  // magic, flags, block size, checksum
}

TEST(CompressionTest, RawSnappyBlockWithoutFrameIsRead) {
    const std::string input(5000, 'x');
    std::string raw;
    snappy::Compress(input.data(), input.size(), &raw);
    EXPECT_EQ(as_text(unpacked(CompressionType::snappy, as_bytes(raw)).value()), input);
}

TEST(CompressionTest, StreamsThatFollowEachOtherAreOne) {
    const Bytes a(40'000, 1);
    const Bytes b(70'000, 2);
    Bytes both = a;
    both.insert(both.end(), b.begin(), b.end());
    for (const CompressionType type : {CompressionType::gzip, CompressionType::snappy, CompressionType::zstd}) {
        Bytes stream = packed(Compression::of(type), a);
        ASSERT_TRUE(compress(Compression::of(type), b, stream));
        EXPECT_EQ(unpacked(type, stream).value(), both) << to_string(type);
    }
}

TEST(CompressionTest, Lz4FramesWithSizesChecksumsLinkedAndLargeBlocksAreRead) {
    SeededRandom random{9};
    const Bytes input = test::random_bytes(random, 700'000);
    for (int variant = 0; variant < 16; ++variant) {
        LZ4F_preferences_t how{};
        how.frameInfo.contentSize = (variant & 1) != 0 ? input.size() : 0;
        how.frameInfo.contentChecksumFlag = (variant & 2) != 0 ? LZ4F_contentChecksumEnabled : LZ4F_noContentChecksum;
        how.frameInfo.blockChecksumFlag = (variant & 2) != 0 ? LZ4F_blockChecksumEnabled : LZ4F_noBlockChecksum;
        how.frameInfo.blockMode = (variant & 4) != 0 ? LZ4F_blockLinked : LZ4F_blockIndependent;
        how.frameInfo.blockSizeID = (variant & 8) != 0 ? LZ4F_max4MB : LZ4F_max64KB;
        Bytes frame(LZ4F_compressFrameBound(input.size(), &how));
        frame.resize(LZ4F_compressFrame(frame.data(), frame.size(), input.data(), input.size(), &how));
        EXPECT_EQ(unpacked(CompressionType::lz4, frame).value(), input) << variant;
    }
}

TEST(CompressionTest, StreamCutAtAnyByteIsCorrupt) {
    SeededRandom random{10};
    const Bytes input = test::random_bytes(random, 3000);
    for (const CompressionType type : test::kAllTypes) {
        if (type == CompressionType::none) continue;
        const Bytes stream = packed(Compression::of(type), input);
        for (std::size_t n = 0; n < stream.size(); ++n) {
            const auto out = unpacked(type, ByteView{stream}.first(n));
            if (type == CompressionType::snappy && n == 16) continue;  // a frame of no blocks: empty, and that is fine
            ASSERT_FALSE(out) << to_string(type) << " " << n;
            EXPECT_EQ(out.error().code, ErrorCode::corrupt_message);
        }
    }
}

TEST(CompressionTest, NoiseIsCorruptInEveryCodec) {
    SeededRandom random{11};
    for (int round = 0; round < 200; ++round) {
        Bytes noise(1 + random.next() % 300);
        for (auto& byte : noise) byte = static_cast<std::uint8_t>(random.next());
        for (const CompressionType type : {CompressionType::gzip, CompressionType::lz4, CompressionType::zstd}) {
            EXPECT_EQ(unpacked(type, noise).error().code, ErrorCode::corrupt_message);
        }
    }
}

TEST(CompressionTest, BombEndsAtTheLimitWithOneChunkInMemory) {
    const Bytes zeros(20'000'000);
    for (const CompressionType type : test::kAllTypes) {
        if (type == CompressionType::none) continue;
        const Bytes bomb = packed(Compression::of(type), zeros);
        EXPECT_EQ(unpacked(type, bomb, zeros.size() - 1).error().code, ErrorCode::message_too_large) << to_string(type);
        EXPECT_TRUE(unpacked(type, bomb, zeros.size())) << to_string(type);
        const auto source = make_decompressor(type, bomb, 1'000'000).value();
        std::size_t seen = 0;
        for (;;) {
            const auto chunk = source->next();
            if (!chunk) break;
            ASSERT_LE(chunk->size(), 131'072U);
            ASSERT_LE(seen += chunk->size(), 1'000'000U);
        }
    }
}

TEST(CompressionTest, SnappyBlockThatClaimsMoreThanItCanHoldIsCorruptBeforeAnythingIsAllocated) {
    const Bytes claim = {0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0};  // 4 GiB in seven bytes
    EXPECT_EQ(unpacked(CompressionType::snappy, claim, SIZE_MAX).error().code, ErrorCode::corrupt_message);
}

TEST(CompressionTest, ManyEmptySnappyBlocksAreWalkedWithoutRecursion) {
    Bytes stream = packed(Compression::of(CompressionType::snappy), {});
    for (int i = 0; i < 200'000; ++i) stream.insert(stream.end(), {0, 0, 0, 1, 0});
    EXPECT_EQ(unpacked(CompressionType::snappy, stream).value().size(), 0U);
}

TEST(CompressionTest, UnknownCodecIsUnsupported) {
    EXPECT_EQ(make_decompressor(static_cast<CompressionType>(5), {}, 1).error().code,
              ErrorCode::unsupported_compression_type);
}

TEST(CompressionTest, DecompressorsMayBeAliveTogether) {
    const Bytes a(300'000, 1);
    const Bytes b(300'000, 2);
    for (const CompressionType type : test::kAllTypes) {
        const Bytes packed_a = packed(Compression::of(type), a);
        const Bytes packed_b = packed(Compression::of(type), b);
        const auto from_a = make_decompressor(type, packed_a, kNoLimit).value();
        const auto from_b = make_decompressor(type, packed_b, kNoLimit).value();
        Bytes out_a;
        Bytes out_b;
        for (bool is_done = false; !is_done;) {
            const ByteView chunk_a = from_a->next().value();
            const ByteView chunk_b = from_b->next().value();
            out_a.insert(out_a.end(), chunk_a.begin(), chunk_a.end());
            out_b.insert(out_b.end(), chunk_b.begin(), chunk_b.end());
            is_done = chunk_a.empty();
        }
        EXPECT_EQ(out_a, a);
        EXPECT_EQ(out_b, b);
    }
}

}  // namespace
}  // namespace odr::record
