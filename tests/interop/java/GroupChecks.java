import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;

/** Consumer groups, in the classic protocol and in the newer one, and their administration. */
public final class GroupChecks extends Checks {
    private GroupChecks(String bootstrap) {
        super(bootstrap);
    }

    public static void main(String[] arguments) {
        GroupChecks checks = new GroupChecks(arguments[0]);
        checks.addProtocol("classic");
        checks.addProtocol("consumer");
        checks.addAdministration();
        checks.runAll();
    }

    private void send(String topic, int partitions, int from, int to) {
        try (KafkaProducer<byte[], byte[]> producer = producer("linger.ms", "5")) {
            for (int i = from; i < to; i++) {
                byte[] value = Integer.toString(i).getBytes(StandardCharsets.UTF_8);
                producer.send(new ProducerRecord<>(topic, i % partitions, null, value));
            }
        }
    }

    private KafkaConsumer<byte[], byte[]> member(String protocol, String group, String topic, String... more) {
        String[] config = new String[more.length + 4];
        config[0] = "group.protocol";
        config[1] = protocol;
        config[2] = "group.id";
        config[3] = group;
        System.arraycopy(more, 0, config, 4, more.length);
        KafkaConsumer<byte[], byte[]> consumer = consumer(config);
        consumer.subscribe(Set.of(topic));
        return consumer;
    }

    private static Set<Integer> read(KafkaConsumer<byte[], byte[]> consumer, int count) {
        Set<Integer> seen = new HashSet<>();
        long deadline = System.nanoTime() + 25_000_000_000L;
        while (seen.size() < count && System.nanoTime() < deadline) {
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) {
                expect(seen.add(Integer.parseInt(new String(record.value(), StandardCharsets.UTF_8))), "read twice");
            }
        }
        expectEqual(seen.size(), count);
        return seen;
    }

    private void addProtocol(String protocol) {
        check("group reads everything, commits and goes on where it stopped, protocol " + protocol, () -> {
            String topic = topic(3);
            send(topic, 3, 0, 90);
            try (KafkaConsumer<byte[], byte[]> consumer = member(protocol, topic, topic)) {
                read(consumer, 90);
                consumer.commitSync();
                Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(consumer.assignment());
                committed.values().forEach(offset -> expectEqual(offset.offset(), 30L));
            }
            send(topic, 3, 90, 99);
            try (KafkaConsumer<byte[], byte[]> consumer = member(protocol, topic, topic)) {
                expectEqual(read(consumer, 9), Set.of(90, 91, 92, 93, 94, 95, 96, 97, 98));
            }
        });
        check("two members share the partitions and one takes over when the other leaves, protocol " + protocol, () -> {
            String topic = topic(4);
            // In the newer protocol the broker sets the pace.
            String[] quick = protocol.equals("classic") ? new String[] {"heartbeat.interval.ms", "300"} : new String[0];
            KafkaConsumer<byte[], byte[]> first = member(protocol, topic, topic, quick);
            KafkaConsumer<byte[], byte[]> second = member(protocol, topic, topic, quick);
            try {
                eventually("two partitions for each", () -> {
                    first.poll(Duration.ofMillis(50));
                    second.poll(Duration.ofMillis(50));
                    return first.assignment().size() == 2 && second.assignment().size() == 2;
                });
                Set<TopicPartition> all = new HashSet<>(first.assignment());
                all.addAll(second.assignment());
                expectEqual(all.size(), 4);
                second.close();
                eventually("four partitions for the one that stayed", () -> {
                    first.poll(Duration.ofMillis(50));
                    return first.assignment().size() == 4;
                });
            } finally {
                first.close(CloseOptions.timeout(Duration.ofSeconds(2)));
                second.close(CloseOptions.timeout(Duration.ofSeconds(2)));
            }
        });
        check("commit with metadata comes back, protocol " + protocol, () -> {
            String topic = topic(1);
            TopicPartition partition = new TopicPartition(topic, 0);
            send(topic, 1, 0, 5);
            try (KafkaConsumer<byte[], byte[]> consumer = member(protocol, topic, topic)) {
                read(consumer, 5);
                consumer.commitSync(Map.of(partition, new OffsetAndMetadata(3, "half way")));
                expectEqual(consumer.committed(Set.of(partition)).get(partition).metadata(), "half way");
            }
        });
    }

    private void addAdministration() {
        check("describe, list, alter and delete offsets, delete the group", () -> {
            String topic = topic(2);
            String group = "admin-" + topic;
            send(topic, 2, 0, 10);
            try (KafkaConsumer<byte[], byte[]> consumer = member("classic", group, topic)) {
                read(consumer, 10);
                consumer.commitSync();
                ConsumerGroupDescription described =
                        admin.describeConsumerGroups(List.of(group)).all().get().get(group);
                expectEqual(described.groupState(), GroupState.STABLE);
                expectEqual(described.members().size(), 1);
                expectEqual(described.members().iterator().next().assignment().topicPartitions().size(), 2);
                expectThrows(GroupNotEmptyException.class, () -> admin.deleteConsumerGroups(List.of(group)).all().get());
            }
            expect(admin.listGroups().all().get().stream().anyMatch(listed -> listed.groupId().equals(group)), "not listed");
            TopicPartition partition = new TopicPartition(topic, 1);
            admin.alterConsumerGroupOffsets(group, Map.of(partition, new OffsetAndMetadata(2))).all().get();
            Map<TopicPartition, OffsetAndMetadata> offsets =
                    admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get();
            expectEqual(offsets.get(partition).offset(), 2L);
            expectEqual(offsets.get(new TopicPartition(topic, 0)).offset(), 5L);
            admin.deleteConsumerGroupOffsets(group, Set.of(partition)).all().get();
            expect(!admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().containsKey(partition),
                    "the offset is still there");
            admin.deleteConsumerGroups(List.of(group)).all().get();
            expectThrows(GroupIdNotFoundException.class,
                    () -> admin.describeConsumerGroups(List.of(group)).all().get());
        });
        check("offsets topic is there and compacted", () -> {
            Map<TopicPartition, OffsetSpec> ask = new HashMap<>();
            ask.put(new TopicPartition("__consumer_offsets", 0), OffsetSpec.latest());
            admin.listOffsets(ask).all().get();
            expect(admin.describeTopics(List.of("__consumer_offsets")).allTopicNames().get()
                    .get("__consumer_offsets").isInternal(), "not internal");
        });
    }
}
