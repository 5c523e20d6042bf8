import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;

import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.UnreleasedInstanceIdException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** A member of a group, in a thread of its own: reads, commits now and then, and tells the table what happens to it. */
final class ChaosMember implements Runnable, ConsumerRebalanceListener {
    enum End { NONE, LEAVE, VANISH }

    private static final int RELEASE_S = 15; // five sessions

    private final String bootstrap;
    private final String group;
    private final String assignor;
    private final String protocol;
    private final String instance;
    private final String client;
    private final Random dice;
    private final ChaosTable table;
    volatile End end = End.NONE;
    private KafkaConsumer<byte[], byte[]> consumer;
    private final Map<TopicPartition, Long> next = new HashMap<>(); // after what was read of those it has

    /** instance: null for a dynamic member. */
    ChaosMember(String bootstrap, String group, String assignor, String protocol, String instance, String client,
            long seed, ChaosTable table) {
        this.bootstrap = bootstrap;
        this.group = group;
        this.assignor = assignor;
        this.protocol = protocol;
        this.instance = instance;
        this.client = client;
        this.dice = new Random(seed);
        this.table = table;
    }

    Thread start(String name) {
        Thread thread = new Thread(this, name);
        thread.setDaemon(true);
        thread.start();
        return thread;
    }

    private KafkaConsumer<byte[], byte[]> newConsumer() {
        Properties config = new Properties();
        config.put("bootstrap.servers", bootstrap);
        config.put("group.id", group);
        config.put("group.protocol", protocol);
        config.put("client.id", client);
        config.put("enable.auto.commit", "false");
        config.put("auto.offset.reset", "earliest");
        config.put("fetch.max.wait.ms", "100");
        config.put("max.poll.records", "20");
        if (instance != null) {
            config.put("group.instance.id", instance);
        }
        if (protocol.equals("classic")) {
            config.put("session.timeout.ms", "3000");
            config.put("heartbeat.interval.ms", "500");
            config.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer." + switch (assignor) {
                case "roundrobin" -> "RoundRobinAssignor";
                case "sticky" -> "StickyAssignor";
                case "cooperative-sticky" -> "CooperativeStickyAssignor";
                default -> "RangeAssignor";
            });
        } else {
            config.put("group.remote.assignor", assignor.equals("range") ? "range" : "uniform");
        }
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    @Override
    public void run() {
        long deadline = System.nanoTime() + RELEASE_S * 1_000_000_000L;
        try {
            while (!live()) {
                if (System.nanoTime() > deadline) {
                    throw new IllegalStateException(instance + " is not released after " + RELEASE_S + " s");
                }
                Thread.sleep(100);
            }
        } catch (Exception e) {
            StringBuilder why = new StringBuilder(client + " of " + group + ": " + e);
            for (Throwable cause = e.getCause(); cause != null; cause = cause.getCause()) {
                why.append(", because ").append(cause);
            }
            table.fail(why.toString());
        }
    }

    /**
     * Gives false if the name of this static member is still another's: with the newer protocol the group keeps it until
     * its holder says that it leaves or is timed out, and who was killed, or is of the older protocol, says nothing.
     */
    private boolean live() {
        consumer = newConsumer();
        try {
            consumer.subscribe(List.of(group), this);
            while (end == End.NONE) {
                ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(100));
                for (TopicPartition partition : records.partitions()) {
                    // A topic that is only appended to has no gaps: what came is one range.
                    List<ConsumerRecord<byte[], byte[]>> read = records.records(partition);
                    long last = read.get(read.size() - 1).offset();
                    table.read(partition.partition(), read.get(0).offset(), last);
                    next.put(partition, last + 1);
                }
                if (dice.nextInt(3) == 0) {
                    commit();
                }
            }
        } catch (UnreleasedInstanceIdException e) {
            consumer.close(CloseOptions.timeout(Duration.ZERO));
            return false;
        }
        // Who vanishes says no word to the group; a static member never does.
        consumer.close(end == End.VANISH
                ? CloseOptions.groupMembershipOperation(CloseOptions.GroupMembershipOperation.REMAIN_IN_GROUP)
                : CloseOptions.timeout(Duration.ofSeconds(10)));
        return true;
    }

    private void commit() {
        // Not position(): in a callback it may wait for an offset that nobody fetches, and meanwhile the session ends.
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        next.forEach((partition, offset) -> offsets.put(partition, new OffsetAndMetadata(offset)));
        if (offsets.isEmpty()) {
            return;
        }
        try {
            consumer.commitSync(offsets);
            Map<Integer, Long> told = new HashMap<>();
            offsets.forEach((partition, offset) -> told.put(partition.partition(), offset.offset()));
            table.acknowledged(told);
        } catch (RebalanceInProgressException | CommitFailedException expected) {
            // The next poll tells what became of the partitions.
        }
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        table.gained(numbers(partitions));
        if (partitions.isEmpty()) {
            return;
        }
        Map<Integer, Long> known = table.known();
        consumer.committed(Set.copyOf(partitions)).forEach((partition, offset) -> {
            long told = offset == null ? 0 : offset.offset();
            if (told < known.getOrDefault(partition.partition(), 0L)) {
                table.fail(partition + " was committed at " + known.get(partition.partition()) + ", " + client
                        + " is told " + told);
            }
        });
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        if (end != End.VANISH && !partitions.isEmpty() && dice.nextBoolean()) {
            commit();
        }
        next.keySet().removeAll(partitions);
        table.gaveUp(numbers(partitions), false);
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> partitions) {
        next.keySet().removeAll(partitions);
        table.gaveUp(numbers(partitions), true);
    }

    private static List<Integer> numbers(Collection<TopicPartition> partitions) {
        return partitions.stream().map(TopicPartition::partition).collect(Collectors.toList());
    }
}
