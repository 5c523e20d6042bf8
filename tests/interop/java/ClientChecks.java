import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;

import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidTimestampException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.TimestampType;

/** The Java producer and the Java consumer (by assign()), as applications use them. */
public final class ClientChecks extends Checks {
    private ClientChecks(String bootstrap) {
        super(bootstrap);
    }

    public static void main(String[] arguments) {
        ClientChecks checks = new ClientChecks(arguments[0]);
        checks.addProducing();
        checks.addConsuming();
        checks.runAll();
    }

    private static byte[] bytes(String text) {
        return text == null ? null : text.getBytes(StandardCharsets.UTF_8);
    }

    private static String text(byte[] bytes) {
        return bytes == null ? null : new String(bytes, StandardCharsets.UTF_8);
    }

    private static byte[] noise(int size) {
        byte[] bytes = new byte[size];
        new java.util.Random(size).nextBytes(bytes);
        return bytes;
    }

    private void send(String topic, int count, String... config) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer(config)) {
            for (int i = 0; i < count; i++) {
                producer.send(new ProducerRecord<>(topic, 0, null, bytes("v" + i)));
            }
        }
    }

    private List<ConsumerRecord<byte[], byte[]>> read(String topic, int count, String... config) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(config)) {
            TopicPartition partition = new TopicPartition(topic, 0);
            consumer.assign(Set.of(partition));
            consumer.seekToBeginning(Set.of(partition));
            return poll(consumer, count);
        }
    }

    private static List<ConsumerRecord<byte[], byte[]>> poll(KafkaConsumer<byte[], byte[]> consumer, int count) {
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        long deadline = System.nanoTime() + 20_000_000_000L;
        while (records.size() < count && System.nanoTime() < deadline) {
            consumer.poll(Duration.ofMillis(200)).forEach(records::add);
        }
        expectEqual(records.size(), count);
        return records;
    }

    private static void expectNumbered(List<ConsumerRecord<byte[], byte[]>> records) {
        for (int i = 0; i < records.size(); i++) {
            expectEqual(text(records.get(i).value()), "v" + i);
            expectEqual(records.get(i).offset(), (long) i);
        }
    }

    private void addProducing() {
        check("idempotent producer with five requests in flight keeps order and loses nothing", () -> {
            String topic = topic(1);
            send(topic, 20000, "max.in.flight.requests.per.connection", "5", "batch.size", "1000", "linger.ms", "0");
            expectNumbered(read(topic, 20000));
        });
        for (String acks : new String[] {"0", "1", "all"}) {
            check("acks=" + acks, () -> {
                String topic = topic(1);
                send(topic, 100, "acks", acks, "enable.idempotence", "false");
                expectNumbered(read(topic, 100));
            });
        }
        for (String codec : new String[] {"none", "gzip", "snappy", "lz4", "zstd"}) {
            check("compression " + codec, () -> {
                String topic = topic(1);
                send(topic, 3000, "compression.type", codec, "linger.ms", "20");
                expectNumbered(read(topic, 3000, "isolation.level", "read_committed"));
            });
            check("broker recompresses to " + codec, () -> {
                String topic = topic(1, "compression.type", codec.equals("none") ? "uncompressed" : codec);
                send(topic, 3000, "compression.type", codec.equals("gzip") ? "lz4" : "gzip", "linger.ms", "20");
                expectNumbered(read(topic, 3000));
            });
        }
        check("keys, values, headers and timestamps survive, nulls too", () -> {
            String topic = topic(1);
            try (KafkaProducer<byte[], byte[]> producer = producer()) {
                ProducerRecord<byte[], byte[]> full = new ProducerRecord<>(topic, 0, 1234567890123L, bytes("k"), bytes("v"));
                full.headers().add("a", bytes("1")).add("a", bytes("2")).add("", new byte[0]).add("null", null);
                producer.send(full);
                producer.send(new ProducerRecord<>(topic, 0, 1234567890124L, (byte[]) null, (byte[]) null));
                producer.send(new ProducerRecord<>(topic, 0, 0L, new byte[0], new byte[0]));
            }
            List<ConsumerRecord<byte[], byte[]>> got = read(topic, 3);
            ConsumerRecord<byte[], byte[]> full = got.get(0);
            expectEqual(full.timestamp(), 1234567890123L);
            expectEqual(full.timestampType(), TimestampType.CREATE_TIME);
            expectEqual(text(full.key()) + text(full.value()), "kv");
            Header[] headers = full.headers().toArray();
            expectEqual(headers.length, 4);
            expectEqual(headers[0].key() + text(headers[0].value()) + headers[1].key() + text(headers[1].value()), "a1a2");
            expectEqual(headers[2].key() + headers[2].value().length, "0");
            expectEqual(headers[3].value(), null);
            expect(got.get(1).key() == null && got.get(1).value() == null, "nulls became something");
            expect(got.get(2).key().length == 0 && got.get(2).value().length == 0, "empty became something else");
            expectEqual(got.get(2).timestamp(), 0L);
        });
        check("LogAppendTime topic has the broker's time", () -> {
            String topic = topic(1, "message.timestamp.type", "LogAppendTime");
            long before = System.currentTimeMillis();
            try (KafkaProducer<byte[], byte[]> producer = producer()) {
                RecordMetadata sent = producer.send(new ProducerRecord<>(topic, 0, 1000L, null, bytes("v"))).get();
                expect(sent.timestamp() >= before, "the answer has the client's time");
                ConsumerRecord<byte[], byte[]> got = read(topic, 1).get(0);
                expectEqual(got.timestamp(), sent.timestamp());
                expectEqual(got.timestampType(), TimestampType.LOG_APPEND_TIME);
            }
        });
        check("answer names the offset of each record and partition", () -> {
            String topic = topic(3);
            try (KafkaProducer<byte[], byte[]> producer = producer("linger.ms", "10")) {
                for (int round = 0; round < 3; round++) {
                    List<Future<RecordMetadata>> sent = new ArrayList<>();
                    for (int i = 0; i < 9; i++) {
                        sent.add(producer.send(new ProducerRecord<>(topic, i % 3, null, bytes("v"))));
                    }
                    for (int i = 0; i < 9; i++) {
                        expectEqual(sent.get(i).get().partition(), i % 3);
                        expectEqual(sent.get(i).get().offset(), round * 3L + i / 3);
                    }
                }
            }
        });
        check("record at the size limit passes and one byte more is RecordTooLargeException", () -> {
            String topic = topic(1);
            // 61 bytes of batch header, 10 of record: size varint 3, attributes, two deltas, key length, value length 3, headers.
            int fits = 1048588 - 61 - 11;
            try (KafkaProducer<byte[], byte[]> producer = producer("max.request.size", "20000000")) {
                producer.send(new ProducerRecord<>(topic, 0, null, noise(fits))).get();
                // The text is the client's own where the broker, like Apache Kafka, gives none.
                expectThrows(RecordTooLargeException.class,
                        () -> producer.send(new ProducerRecord<>(topic, 0, null, noise(fits + 1))).get());
            }
            expect(Arrays.equals(read(topic, 1).get(0).value(), noise(fits)), "the value changed");
        });
        check("record of 20 MB where the topic allows it", () -> {
            String topic = topic(1, "max.message.bytes", "30000000");
            try (KafkaProducer<byte[], byte[]> producer =
                         producer("max.request.size", "30000000", "buffer.memory", "60000000")) {
                producer.send(new ProducerRecord<>(topic, 0, null, noise(20_000_000))).get();
            }
            expect(Arrays.equals(read(topic, 1).get(0).value(), noise(20_000_000)), "the value changed");
        });
        check("timestamp beyond message.timestamp.before.max.ms is InvalidTimestampException", () -> {
            String topic = topic(1, "message.timestamp.before.max.ms", "60000");
            try (KafkaProducer<byte[], byte[]> producer = producer()) {
                expectThrows(InvalidTimestampException.class,
                        () -> producer.send(new ProducerRecord<>(topic, 0, 1000L, null, bytes("v"))).get());
                producer.send(new ProducerRecord<>(topic, 0, System.currentTimeMillis(), null, bytes("v"))).get();
            }
        });
        check("topic appears on first send", () -> {
            try (KafkaProducer<byte[], byte[]> producer = producer()) {
                producer.send(new ProducerRecord<>("client-auto-created", bytes("v0"))).get();
            }
            expectNumbered(read("client-auto-created", 1));
        });
        check("invalid topic name is InvalidTopicException", () -> {
            try (KafkaProducer<byte[], byte[]> producer = producer()) {
                expectThrows(InvalidTopicException.class,
                        () -> producer.send(new ProducerRecord<>("not a topic", bytes("v"))).get());
            }
        });
        check("partition that does not exist is not found", () -> {
            String topic = topic(1);
            try (KafkaProducer<byte[], byte[]> producer = producer("max.block.ms", "500")) {
                TimeoutException error = expectThrows(TimeoutException.class,
                        () -> producer.send(new ProducerRecord<>(topic, 5, null, bytes("v"))).get());
                expect(error.getMessage().startsWith("Partition 5 of topic " + topic + " with partition count 1 is not"
                        + " present in metadata after 500 ms."), error.getMessage());
            }
        });
    }

    private void addConsuming() {
        check("seek, position, beginning and end", () -> {
            String topic = topic(1);
            send(topic, 100);
            TopicPartition partition = new TopicPartition(topic, 0);
            try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
                consumer.assign(Set.of(partition));
                expectEqual(consumer.beginningOffsets(Set.of(partition)), Map.of(partition, 0L));
                expectEqual(consumer.endOffsets(Set.of(partition)), Map.of(partition, 100L));
                consumer.seek(partition, 42);
                expectEqual(text(poll(consumer, 58).get(0).value()), "v42");
                expectEqual(consumer.position(partition), 100L);
                consumer.seekToEnd(Set.of(partition));
                expectEqual(consumer.position(partition), 100L);
                consumer.seekToBeginning(Set.of(partition));
                expectEqual(text(poll(consumer, 100).get(0).value()), "v0");
            }
        });
        check("offsetsForTimes finds the first record at or after a time", () -> {
            String topic = topic(1);
            try (KafkaProducer<byte[], byte[]> producer = producer("compression.type", "lz4", "linger.ms", "5")) {
                for (int i = 0; i < 5000; i++) {
                    producer.send(new ProducerRecord<>(topic, 0, 1_000_000L + i * 10, null, noise(100)));
                }
            }
            TopicPartition partition = new TopicPartition(topic, 0);
            try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
                for (int i : new int[] {0, 1, 777, 2500, 4999}) {
                    for (int early : new int[] {0, 9}) {
                        long time = 1_000_000L + i * 10 - early;
                        OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(partition, time)).get(partition);
                        expectEqual(found.offset(), (long) i);
                        expectEqual(found.timestamp(), 1_000_000L + i * 10);
                    }
                }
                expectEqual(consumer.offsetsForTimes(Map.of(partition, 2_000_000L)).get(partition), null);
            }
        });
        check("offset out of range: none throws, earliest and latest reset", () -> {
            String topic = topic(1);
            send(topic, 10);
            TopicPartition partition = new TopicPartition(topic, 0);
            try (KafkaConsumer<byte[], byte[]> consumer = consumer("auto.offset.reset", "none")) {
                consumer.assign(Set.of(partition));
                consumer.seek(partition, 999);
                OffsetOutOfRangeException error = expectThrows(OffsetOutOfRangeException.class, () -> {
                    for (int i = 0; i < 50; i++) {
                        consumer.poll(Duration.ofMillis(100));
                    }
                });
                expectEqual(error.offsetOutOfRangePartitions(), Map.of(partition, 999L));
            }
            try (KafkaConsumer<byte[], byte[]> consumer = consumer("auto.offset.reset", "earliest")) {
                consumer.assign(Set.of(partition));
                consumer.seek(partition, 999);
                expectNumbered(poll(consumer, 10));
            }
            try (KafkaConsumer<byte[], byte[]> consumer = consumer("auto.offset.reset", "latest")) {
                consumer.assign(Set.of(partition));
                consumer.seek(partition, 999);
                eventually("the reset", () -> {
                    consumer.poll(Duration.ofMillis(20));
                    return consumer.position(partition) == 10;
                });
            }
        });
        check("waiting poll returns when a record arrives, long before fetch.max.wait.ms", () -> {
            String topic = topic(1);
            TopicPartition partition = new TopicPartition(topic, 0);
            try (KafkaConsumer<byte[], byte[]> consumer = consumer("fetch.max.wait.ms", "14000");
                 KafkaProducer<byte[], byte[]> producer = producer()) {
                consumer.assign(Set.of(partition));
                consumer.seek(partition, 0);
                consumer.poll(Duration.ofMillis(300));
                long sent = System.nanoTime();
                CompletableFuture<Void> sending = CompletableFuture.runAsync(
                        () -> producer.send(new ProducerRecord<>(topic, 0, null, bytes("v0"))));
                expectNumbered(poll(consumer, 1));
                sending.get();
                long tookMs = (System.nanoTime() - sent) / 1_000_000;
                expect(tookMs < 3000, "it took " + tookMs + " ms");
                consumer.close(CloseOptions.timeout(Duration.ZERO));
            }
        });
        check("fetch.min.bytes waits for fetch.max.wait.ms and then gives what there is", () -> {
            String topic = topic(1);
            send(topic, 1);
            TopicPartition partition = new TopicPartition(topic, 0);
            try (KafkaConsumer<byte[], byte[]> consumer =
                         consumer("fetch.min.bytes", "100000", "fetch.max.wait.ms", "700")) {
                consumer.assign(Set.of(partition));
                consumer.seek(partition, 0);
                long started = System.nanoTime();
                expectNumbered(poll(consumer, 1));
                long tookMs = (System.nanoTime() - started) / 1_000_000;
                expect(tookMs >= 650, "it took only " + tookMs + " ms");
            }
        });
        check("small fetch limits still make progress over large records", () -> {
            String topic = topic(1);
            try (KafkaProducer<byte[], byte[]> producer = producer("batch.size", "1")) {
                for (int i = 0; i < 20; i++) {
                    producer.send(new ProducerRecord<>(topic, 0, bytes("v" + i), noise(50_000)));
                }
            }
            List<ConsumerRecord<byte[], byte[]>> got =
                    read(topic, 20, "fetch.max.bytes", "1024", "max.partition.fetch.bytes", "100");
            for (int i = 0; i < 20; i++) {
                expectEqual(text(got.get(i).key()), "v" + i);
            }
        });
        check("one consumer reads 30 partitions in one session", () -> {
            String topic = topic(30);
            try (KafkaProducer<byte[], byte[]> producer = producer("linger.ms", "5")) {
                for (int i = 0; i < 3000; i++) {
                    producer.send(new ProducerRecord<>(topic, i % 30, null, bytes("v" + i / 30)));
                }
            }
            try (KafkaConsumer<byte[], byte[]> consumer = consumer("max.poll.records", "100")) {
                List<TopicPartition> partitions = new ArrayList<>();
                for (int i = 0; i < 30; i++) {
                    partitions.add(new TopicPartition(topic, i));
                }
                consumer.assign(partitions);
                consumer.seekToBeginning(partitions);
                long[] next = new long[30];
                for (ConsumerRecord<byte[], byte[]> record : poll(consumer, 3000)) {
                    expectEqual(record.offset(), next[record.partition()]++);
                    expectEqual(text(record.value()), "v" + record.offset());
                }
                // The session goes on: one partition gets more, the others are not sent again.
                send(topic, 1);
                expectEqual(poll(consumer, 1).get(0).offset(), 100L);
                consumer.pause(partitions.subList(0, 1));
                send(topic, 1);
                expectEqual(consumer.poll(Duration.ofMillis(300)).count(), 0);
                consumer.resume(partitions.subList(0, 1));
                expectEqual(poll(consumer, 1).get(0).offset(), 101L);
            }
        });
        check("consumer sees partitions and topics", () -> {
            String topic = topic(4);
            try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
                expectEqual(consumer.partitionsFor(topic).size(), 4);
                expectEqual(consumer.partitionsFor(topic).get(0).leader().id(), 1);
                expect(consumer.listTopics().containsKey(topic), "the list lacks the topic");
            }
        });
        check("topic that was deleted and made again is read from its new beginning", () -> {
            String topic = topic(1);
            send(topic, 50);
            TopicPartition partition = new TopicPartition(topic, 0);
            try (KafkaConsumer<byte[], byte[]> consumer = consumer("metadata.max.age.ms", "500")) {
                consumer.assign(Set.of(partition));
                consumer.seekToBeginning(Set.of(partition));
                poll(consumer, 50);
                admin.deleteTopics(List.of(topic)).all().get();
                eventually("the topic to be gone", () -> {
                    try {
                        return !admin.listTopics().names().get().contains(topic);
                    } catch (Exception e) {
                        throw new IllegalStateException(e);
                    }
                });
                admin.createTopics(List.of(new org.apache.kafka.clients.admin.NewTopic(topic, 1, (short) 1))).all().get();
                send(topic, 5);
                expectEqual(read(topic, 5).get(4).offset(), 4L);
            }
        });
        check("two consumers read the same partition independently", () -> {
            String topic = topic(1);
            send(topic, 500);
            expectNumbered(read(topic, 500));
            expectNumbered(read(topic, 500, "isolation.level", "read_committed"));
            ConsumerRecords<byte[], byte[]> none;
            try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
                TopicPartition partition = new TopicPartition(topic, 0);
                consumer.assign(Set.of(partition));
                consumer.seekToEnd(Set.of(partition));
                none = consumer.poll(Duration.ofMillis(200));
            }
            expectEqual(none.count(), 0);
        });
    }
}
