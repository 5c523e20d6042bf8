import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;

import org.apache.kafka.clients.admin.TransactionDescription;
import org.apache.kafka.clients.admin.TransactionState;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;

/** Transactions of the Java producer, and what each isolation level reads of them. */
public final class TransactionChecks extends Checks {
    private TransactionChecks(String bootstrap) {
        super(bootstrap);
    }

    public static void main(String[] arguments) {
        TransactionChecks checks = new TransactionChecks(arguments[0]);
        checks.add();
        checks.runAll();
    }

    private KafkaProducer<byte[], byte[]> transactional(String id) {
        KafkaProducer<byte[], byte[]> producer = producer("transactional.id", id);
        producer.initTransactions();
        return producer;
    }

    private static ProducerRecord<byte[], byte[]> record(String topic, String value) {
        return new ProducerRecord<>(topic, 0, null, value.getBytes(StandardCharsets.UTF_8));
    }

    /** What is there now, as text: reads until the position reaches the end that the isolation level sees. */
    private List<String> read(String topic, String isolation) throws Exception {
        List<String> seen = new ArrayList<>();
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaConsumer<byte[], byte[]> consumer = consumer("isolation.level", isolation)) {
            consumer.assign(Set.of(partition));
            consumer.seek(partition, 0);
            long end = consumer.endOffsets(Set.of(partition)).get(partition);
            eventually("the end", () -> {
                consumer.poll(Duration.ofMillis(50)).forEach(
                        record -> seen.add(new String(record.value(), StandardCharsets.UTF_8)));
                return consumer.position(partition) >= end;
            });
        }
        return seen;
    }

    private void add() {
        check("read_committed sees what was committed, read_uncommitted all", () -> {
            String topic = topic(1);
            try (KafkaProducer<byte[], byte[]> producer = transactional(topic)) {
                producer.beginTransaction();
                producer.send(record(topic, "a"));
                producer.commitTransaction();
                producer.beginTransaction();
                producer.send(record(topic, "b"));
                producer.flush();
                producer.abortTransaction();
                producer.beginTransaction();
                producer.send(record(topic, "c"));
                producer.commitTransaction();
                expectEqual(read(topic, "read_committed"), List.of("a", "c"));
                expectEqual(read(topic, "read_uncommitted"), List.of("a", "b", "c"));
            }
        });
        check("open transaction holds back what comes behind it", () -> {
            String topic = topic(1);
            try (KafkaProducer<byte[], byte[]> producer = transactional(topic);
                 KafkaProducer<byte[], byte[]> plain = producer()) {
                producer.beginTransaction();
                producer.send(record(topic, "open")).get();
                plain.send(record(topic, "plain")).get();
                expectEqual(read(topic, "read_committed"), List.of());
                expectEqual(read(topic, "read_uncommitted"), List.of("open", "plain"));
                TransactionDescription described = admin.describeTransactions(List.of(topic)).all().get().get(topic);
                expectEqual(described.state(), TransactionState.ONGOING);
                producer.commitTransaction();
                expectEqual(read(topic, "read_committed"), List.of("open", "plain"));
            }
        });
        check("second producer with the same id fences the first", () -> {
            String topic = topic(1);
            KafkaProducer<byte[], byte[]> first = transactional(topic);
            first.beginTransaction();
            first.send(record(topic, "lost")).get();
            try (KafkaProducer<byte[], byte[]> second = transactional(topic)) {
                second.beginTransaction();
                second.send(record(topic, "kept"));
                second.commitTransaction();
            }
            try {
                first.send(record(topic, "too late"));
                first.commitTransaction();
                throw new AssertionError("the first producer was not fenced");
            } catch (ProducerFencedException | InvalidProducerEpochException expected) {
                expectEqual(read(topic, "read_committed"), List.of("kept"));
            } finally {
                first.close(Duration.ZERO);
            }
        });
        check("offsets of a group are part of the transaction", () -> {
            String topic = topic(1);
            TopicPartition partition = new TopicPartition(topic, 0);
            try (KafkaProducer<byte[], byte[]> producer = transactional(topic)) {
                producer.beginTransaction();
                producer.send(record(topic, "a"));
                producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(7)), new ConsumerGroupMetadata(topic));
                producer.abortTransaction();
                expectEqual(admin.listConsumerGroupOffsets(topic).partitionsToOffsetAndMetadata().get().get(partition), null);
                producer.beginTransaction();
                producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(8)), new ConsumerGroupMetadata(topic));
                producer.commitTransaction();
            }
            eventually("the committed offset", () -> {
                try {
                    var offset = admin.listConsumerGroupOffsets(topic).partitionsToOffsetAndMetadata().get().get(partition);
                    return offset != null && offset.offset() == 8;
                } catch (Exception e) {
                    return false;
                }
            });
        });
    }
}
