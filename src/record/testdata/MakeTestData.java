// Writes the *.bin files and validation_cases.txt of this directory with Apache Kafka's own classes. See README.txt.
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.errors.ApiException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.LeaderChangeMessage;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.requests.ProduceRequest;
import org.apache.kafka.common.utils.BufferSupplier;
import org.apache.kafka.common.utils.Crc32C;
import org.apache.kafka.common.utils.PrimitiveRef;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.storage.internals.log.AppendOrigin;
import org.apache.kafka.storage.internals.log.LogValidator;
import org.apache.kafka.storage.internals.log.RecordValidationException;

public class MakeTestData {
    static final long T0 = 1_700_000_000_000L;
    static final Path DIR = Path.of(".");

    static byte[] bytes(MemoryRecords records) {
        ByteBuffer buffer = records.buffer().duplicate();
        byte[] out = new byte[buffer.remaining()];
        buffer.get(out);
        return out;
    }

    static void write(String name, byte[] bytes) throws Exception {
        Files.write(DIR.resolve(name + ".bin"), bytes);
    }

    // Record i: key "key-i" (none where i % 5 == 4), value "value-i" 40 times (none where i % 7 == 6), i % 3 headers.
    static void append(MemoryRecordsBuilder builder, int i, boolean withHeaders) {
        byte[] key = i % 5 == 4 ? null : ("key-" + i).getBytes(StandardCharsets.UTF_8);
        byte[] value = i % 7 == 6 ? null : ("value-" + i).repeat(40).getBytes(StandardCharsets.UTF_8);
        Header[] headers = new Header[withHeaders ? i % 3 : 0];
        for (int h = 0; h < headers.length; h++)
            headers[h] = new RecordHeader("h" + h, h == 1 ? null : new byte[] {(byte) i, (byte) h});
        if (withHeaders) builder.append(T0 + i * 1000L, key, value, headers);
        else builder.append(T0 + i * 1000L, key, value);
    }

    static byte[] sample(Compression compression, int count) {
        MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(1024), RecordBatch.MAGIC_VALUE_V2,
            compression, TimestampType.CREATE_TIME, 0L, RecordBatch.NO_TIMESTAMP, 4711L, (short) 3, 100, true, false, 9);
        for (int i = 0; i < count; i++) append(builder, i, true);
        return bytes(builder.build());
    }

    static byte[] legacy(byte magic, Compression compression) {
        MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(1024), magic, compression,
            TimestampType.CREATE_TIME, 50L);
        for (int i = 0; i < 4; i++) append(builder, i, false);
        return bytes(builder.build());
    }

    // --- cases, judged by ProduceRequest and LogValidator -----------------------------------------------------------
    static final List<String> CASES = new ArrayList<>();
    static final LogValidator.MetricsRecorder NO_METRICS = new LogValidator.MetricsRecorder() {
        public void recordInvalidMagic() {}
        public void recordInvalidOffset() {}
        public void recordInvalidSequence() {}
        public void recordInvalidChecksums() {}
        public void recordNoKeyCompactedTopic() {}
    };

    static class Rules {
        String target = "producer";
        boolean compacted = false;
        boolean logAppendTime = false;
        long before = Long.MAX_VALUE, after = 3_600_000L;
        long now = T0 + 60_000;
        int maxBytes = 1_048_588;
        Rules target(String t) { target = t; return this; }
        Rules compacted() { compacted = true; return this; }
        Rules logAppendTime() { logAppendTime = true; return this; }
        Rules before(long b) { before = b; return this; }
        Rules after(long a) { after = a; return this; }
        Rules maxBytes(int m) { maxBytes = m; return this; }
    }

    static Compression compressionOf(CompressionType type) { return Compression.of(type).build(); }

    // The steps of UnifiedLog.append that concern the batch alone.
    static String judge(byte[] input, Rules rules) {
        StringBuilder out = new StringBuilder();
        try {
            MemoryRecords records = MemoryRecords.readableRecords(ByteBuffer.wrap(input.clone()));
            ProduceRequest.validateRecords((short) 12, records);
            CompressionType source = CompressionType.NONE;
            for (MutableRecordBatch batch : records.batches()) {
                if (batch.baseOffset() != 0) return "INVALID_RECORD";
                if (batch.sizeInBytes() > rules.maxBytes) return "MESSAGE_TOO_LARGE";
                if (!batch.isValid()) return "CORRUPT_MESSAGE";
                source = batch.compressionType();
            }
            CompressionType target = rules.target.equals("producer") ? source : CompressionType.forName(rules.target);
            LogValidator validator = new LogValidator(records, new TopicPartition("t", 0), new Fixed(rules.now), source,
                compressionOf(target), rules.compacted, RecordBatch.MAGIC_VALUE_V2,
                rules.logAppendTime ? TimestampType.LOG_APPEND_TIME : TimestampType.CREATE_TIME, rules.before, rules.after,
                7, AppendOrigin.CLIENT);
            LogValidator.ValidationResult result = validator.validateMessagesAndAssignOffsets(PrimitiveRef.ofLong(1000L),
                NO_METRICS, BufferSupplier.NO_CACHING);
            RecordBatch batch = result.validatedRecords().batches().iterator().next();
            if (result.messageSizeMaybeChanged() && batch.sizeInBytes() > rules.maxBytes) return "MESSAGE_TOO_LARGE";
            out.append("NONE max=").append(result.maxTimestampMs()).append(" last=").append(batch.lastOffset()).append(" codec=")
               .append(batch.compressionType().name).append(" crc=")
               .append(result.messageSizeMaybeChanged() ? "-" : Long.toString(batch.checksum()));
            return out.toString();
        } catch (RecordValidationException e) {
            out.append(Errors.forException(e.invalidException()).name()).append(" records=");
            e.recordErrors().forEach(r -> out.append(r.batchIndex).append(','));
            return out.toString();
        } catch (Exception e) {
            return Errors.forException(e).name();
        }
    }

    static class Fixed implements Time {
        final long now;
        Fixed(long now) { this.now = now; }
        public long milliseconds() { return now; }
        public long hiResClockMs() { return now; }
        public long nanoseconds() { return now * 1_000_000; }
        public void sleep(long ms) { throw new UnsupportedOperationException(); }
        public void waitObject(Object o, java.util.function.Supplier<Boolean> c, long d) {
            throw new UnsupportedOperationException();
        }
        public org.apache.kafka.common.utils.Timer timer(long t) { throw new UnsupportedOperationException(); }
    }

    static void add(String name, byte[] input, Rules r) {
        CASES.add(String.join(" | ", name,
            String.format("%s %b %b %d %d %d %d", r.target, r.compacted, r.logAppendTime, r.before, r.after, r.now, r.maxBytes),
            judge(input, r), HexFormat.of().formatHex(input)));
    }

    interface Edit { void to(ByteBuffer batch); }

    static byte[] edited(byte[] batch, Edit edit) {
        byte[] copy = batch.clone();
        ByteBuffer buffer = ByteBuffer.wrap(copy);
        edit.to(buffer);
        buffer.putInt(17, (int) Crc32C.compute(copy, 21, copy.length - 21));
        return copy;
    }

    static byte[] plainBatch(Compression compression, long... timestamps) {
        MemoryRecordsBuilder builder = MemoryRecords.builder(ByteBuffer.allocate(512), compression,
            TimestampType.CREATE_TIME, 0L);
        for (int i = 0; i < timestamps.length; i++)
            builder.append(timestamps[i], new byte[] {(byte) i}, "value".repeat(i + 1).getBytes(StandardCharsets.UTF_8));
        return bytes(builder.build());
    }

    static byte[] concat(byte[] a, byte[] b) {
        return ByteBuffer.allocate(a.length + b.length).put(a).put(b).array();
    }

    static void cases() {
        for (CompressionType type : CompressionType.values()) {
            byte[] good = plainBatch(compressionOf(type), T0, T0 + 5, T0 + 2);
            String n = type.name + ": ";
            add(n + "good", good, new Rules());
            add(n + "good, LogAppendTime", good, new Rules().logAppendTime());
            add(n + "good, compacted", good, new Rules().compacted());
            for (CompressionType to : CompressionType.values()) add(n + "to " + to.name, good, new Rules().target(to.name));
            add(n + "lying max timestamp", edited(good, b -> b.putLong(35, T0 + 77)), new Rules());
            add(n + "LogAppendTime flag, CreateTime topic", edited(good, b -> b.putShort(21, (short) (b.getShort(21) | 8))), new Rules());
            add(n + "LogAppendTime flag, LogAppendTime topic", edited(good, b -> b.putShort(21, (short) (b.getShort(21) | 8))), new Rules().logAppendTime());
            add(n + "unused attribute bits", edited(good, b -> b.putShort(21, (short) (b.getShort(21) | 0xf00))), new Rules());
            add(n + "control", edited(good, b -> b.putShort(21, (short) (b.getShort(21) | 0x20))), new Rules());
            add(n + "base offset 1", edited(good, b -> b.putLong(0, 1)), new Rules());
            add(n + "count 2 of 3", edited(good, b -> b.putInt(57, 2)), new Rules());
            add(n + "count and offsets 2 of 3", edited(good, b -> b.putInt(57, 2).putInt(23, 1)), new Rules());
            add(n + "count and offsets 4 of 3", edited(good, b -> b.putInt(57, 4).putInt(23, 3)), new Rules());
            add(n + "count 0", edited(good, b -> b.putInt(57, 0).putInt(23, -1)), new Rules());
            add(n + "count -1", edited(good, b -> b.putInt(57, -1).putInt(23, -2)), new Rules());
            add(n + "last offset delta -1", edited(good, b -> b.putInt(23, -1)), new Rules());
            add(n + "count 2^31-1", edited(good, b -> b.putInt(57, Integer.MAX_VALUE).putInt(23, Integer.MAX_VALUE - 1)), new Rules());
            add(n + "producer id without sequence", edited(good, b -> b.putLong(43, 5).putShort(51, (short) 0)), new Rules());
            add(n + "producer id, epoch and sequence", edited(good, b -> b.putLong(43, 5).putShort(51, (short) 0).putInt(53, 2147483647)), new Rules());
            byte[] broken = good.clone();
            broken[broken.length - 1] ^= 1;
            add(n + "broken CRC", broken, new Rules());
            add(n + "too large", good, new Rules().maxBytes(good.length - 1));
            add(n + "just fits", good, new Rules().maxBytes(good.length));
            add(n + "two batches", concat(good, good), new Rules());
            add(n + "cut second batch", java.util.Arrays.copyOf(concat(good, good), 2 * good.length - 1), new Rules());
            add(n + "cut batch", java.util.Arrays.copyOf(good, good.length - 1), new Rules());
            add(n + "second batch with an impossible length", concat(good, new byte[20]), new Rules());
            add(n + "record too old", plainBatch(compressionOf(type), T0, T0 - 120_000, T0 + 1), new Rules().before(100_000));
            add(n + "record too new", plainBatch(compressionOf(type), T0, T0 + 120_001, T0 + 160_001), new Rules().after(60_000));
            add(n + "too new, LogAppendTime", plainBatch(compressionOf(type), T0, T0 + 120_001), new Rules().after(60_000).logAppendTime());
            add(n + "no timestamps", plainBatch(compressionOf(type), -1, -1), new Rules().before(1000));
            MemoryRecordsBuilder keyless = MemoryRecords.builder(ByteBuffer.allocate(512), compressionOf(type), TimestampType.CREATE_TIME, 0L);
            keyless.append(T0, (byte[]) null, new byte[] {1});
            keyless.append(T0, new byte[] {1}, new byte[] {2});
            keyless.append(T0 + 999_999_999L, (byte[]) null, new byte[] {3});
            byte[] noKeys = bytes(keyless.build());
            add(n + "no key, compacted, one too new as well", noKeys, new Rules().compacted());
            add(n + "no key, compacted", noKeys, new Rules().compacted().after(Long.MAX_VALUE));
            add(n + "no key", noKeys, new Rules().after(Long.MAX_VALUE));
            if (type != CompressionType.NONE)
                add(n + "payload that does not unpack", edited(good, b -> { for (int i = 61; i < b.limit(); i++) b.put(i, (byte) 0xee); }), new Rules());
        }
        byte[] good = plainBatch(Compression.NONE, T0);
        add("magic 1", legacy((byte) 1, Compression.NONE), new Rules());
        add("magic 0, gzip", legacy((byte) 0, Compression.gzip().build()), new Rules());
        add("magic 3", edited(good, b -> b.put(16, (byte) 3)), new Rules());
        add("nothing", new byte[0], new Rules());
        add("record length one short", edited(good, b -> b.put(61, (byte) (b.get(61) - 2))), new Rules());
        add("record length one long", edited(good, b -> b.put(61, (byte) (b.get(61) + 2))), new Rules());
        add("negative record length", edited(good, b -> b.put(61, (byte) 1)), new Rules());
        add("transactional without producer id", edited(good, b -> b.putShort(21, (short) 0x10)), new Rules());
        add("offset delta 1 first", edited(good, b -> b.put(64, (byte) 2)), new Rules());
        add("codec 5", edited(good, b -> b.putShort(21, (short) 5)), new Rules());
        MemoryRecordsBuilder zeros = MemoryRecords.builder(ByteBuffer.allocate(512), Compression.gzip().build(), TimestampType.CREATE_TIME, 0L);
        zeros.append(T0, null, new byte[3000]);
        add("grows over the limit when unpacked", bytes(zeros.build()), new Rules().target("none").maxBytes(500));
    }

    public static void main(String[] args) throws Exception {
        write("batch_none", sample(Compression.NONE, 20));
        write("batch_gzip", sample(Compression.gzip().build(), 20));
        write("batch_gzip_1", sample(Compression.gzip().level(1).build(), 20));
        write("batch_snappy", sample(Compression.snappy().build(), 20));
        write("batch_lz4", sample(Compression.lz4().build(), 20));
        write("batch_lz4_17", sample(Compression.lz4().level(17).build(), 20));
        write("batch_zstd", sample(Compression.zstd().build(), 20));
        write("batch_zstd_22", sample(Compression.zstd().level(22).build(), 20));
        write("batch_snappy_blocks", sample(Compression.snappy().build(), 400));
        write("batch_lz4_blocks", sample(Compression.lz4().build(), 400));
        write("legacy_v0", legacy((byte) 0, Compression.NONE));
        write("legacy_v1", legacy((byte) 1, Compression.NONE));
        write("legacy_v0_gzip", legacy((byte) 0, Compression.gzip().build()));
        write("legacy_v1_snappy", legacy((byte) 1, Compression.snappy().build()));
        write("legacy_v1_lz4", legacy((byte) 1, Compression.lz4().build()));
        MemoryRecordsBuilder stamped = MemoryRecords.builder(ByteBuffer.allocate(1024), RecordBatch.MAGIC_VALUE_V2,
            Compression.NONE, TimestampType.LOG_APPEND_TIME, 30L, T0 + 123, -1L, (short) -1, -1, false, false, 2);
        append(stamped, 0, true);
        append(stamped, 1, true);
        write("log_append_time", bytes(stamped.build()));
        write("commit_marker", bytes(MemoryRecords.withEndTransactionMarker(77L, T0, 5, 4711L, (short) 3,
            new EndTransactionMarker(ControlRecordType.COMMIT, 12))));
        LeaderChangeMessage leader = new LeaderChangeMessage().setVersion((short) 0).setLeaderId(1)
            .setVoters(List.of(new LeaderChangeMessage.Voter().setVoterId(1)))
            .setGrantingVoters(List.of(new LeaderChangeMessage.Voter().setVoterId(1)));
        write("leader_change", bytes(MemoryRecords.withLeaderChangeMessage(8L, T0, 4, ByteBuffer.allocate(512), leader)));
        cases();
        Files.write(DIR.resolve("validation_cases.txt"), CASES);
    }
}
