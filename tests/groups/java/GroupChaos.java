import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Members of several groups join, leave and crash at random, all groups at once. A table shared by the members of a
 * group says who owns which partition: two owners at a time, a commit that went back, or a record that nobody read is
 * a failure. One line per group: "PASS name: figures" or "FAIL name: why".
 *
 * Arguments: bootstrap, seed, seconds, members of each group, then per group kind:assignor, where kind is classic,
 * consumer, or mixed (members of both protocols in one group).
 */
public final class GroupChaos {
    private static final int SETTLE_S = 90;
    private static final int STATICS = 2;

    private final String bootstrap;
    private final String name;
    private final String kind;
    private final String assignor;
    private final int most;
    private final Random random;
    private final int partitions;

    // The shared table; guarded by this.
    private final Map<Integer, Member> owners = new HashMap<>();
    private final Map<Integer, Member> suspects = new HashMap<>();
    private final long[] committed;
    private final BitSet[] seen;
    private String failure;
    private int rebalances;
    private int lost;
    private int commits;

    private final List<Member> members = new ArrayList<>();
    private final AtomicInteger started = new AtomicInteger();
    private final long[] produced;
    private KafkaProducer<byte[], byte[]> producer;
    private int joins;
    private int leaves;
    private int crashes;

    private enum End { NONE, LEAVE, CRASH }

    private GroupChaos(String bootstrap, String group, int members, long seed) {
        this.bootstrap = bootstrap;
        this.kind = group.split(":")[0];
        this.assignor = group.split(":")[1];
        this.name = group.replace(':', '-') + "-" + Long.toUnsignedString(seed);
        this.most = members;
        this.random = new Random(seed ^ group.hashCode());
        this.partitions = members + members / 2;
        this.committed = new long[partitions];
        this.produced = new long[partitions];
        this.seen = new BitSet[partitions];
        Arrays.setAll(seen, p -> new BitSet());
    }

    public static void main(String[] arguments) throws Exception {
        long seed = Long.parseLong(arguments[1]);
        long end = System.nanoTime() + Long.parseLong(arguments[2]) * 1_000_000_000L;
        int members = Integer.parseInt(arguments[3]);
        Map<String, Thread> running = new LinkedHashMap<>();
        for (String group : Arrays.copyOfRange(arguments, 4, arguments.length)) {
            GroupChaos chaos = new GroupChaos(arguments[0], group, members, seed);
            Thread thread = new Thread(() -> chaos.report(group, end), group);
            running.put(group, thread);
            thread.start();
        }
        for (Thread thread : running.values()) {
            thread.join();
        }
        Runtime.getRuntime().halt(0);
    }

    private void report(String group, long end) {
        String why;
        try {
            why = run(end);
        } catch (Exception e) {
            why = e.toString();
        }
        synchronized (System.out) {
            System.out.println((why == null ? "PASS " : "FAIL ") + group + ": " + (why == null ? "" : why + "; ") + figures());
            System.out.flush();
        }
    }

    private synchronized String figures() {
        return joins + " joins, " + leaves + " leaves, " + crashes + " crashes, " + rebalances + " assignments, " + lost
                + " lost, " + commits + " commits, " + Arrays.stream(produced).sum() + " records";
    }

    // --- the story

    private String run(long end) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.createTopics(List.of(new NewTopic(name, partitions, (short) 1))).all().get();
        }
        producer = new KafkaProducer<>(Map.of("bootstrap.servers", bootstrap, "linger.ms", "5"),
                new ByteArraySerializer(), new ByteArraySerializer());
        for (int i = 0; i < Math.max(2, most / 2); i++) {
            join();
        }
        while (System.nanoTime() < end && failed() == null) {
            produce();
            Thread.sleep(random.nextInt(400));
            act();
        }
        if (failed() == null) {
            settle();
        }
        for (Member member : members) {
            member.end = End.LEAVE;
        }
        for (Member member : members) {
            member.thread.join(10_000);
        }
        producer.close(Duration.ofSeconds(5));
        return failed();
    }

    private void act() throws InterruptedException {
        members.removeIf(member -> !member.thread.isAlive());
        List<Member> staying = members.stream().filter(member -> member.end == End.NONE).collect(Collectors.toList());
        int dice = random.nextInt(100);
        // Not at each turn: a group that never comes to rest has no owners to compare.
        if (dice < 12 && members.size() < most || staying.size() < 2) {
            join();
        } else if (dice < 20) {
            staying.get(random.nextInt(staying.size())).end = End.LEAVE;
            leaves++;
        } else if (dice < 24) {
            staying.get(random.nextInt(staying.size())).end = End.CRASH;
            crashes++;
        }
    }

    private void join() {
        Set<String> instances = members.stream().map(member -> member.instance).collect(Collectors.toSet());
        String instance = "static-" + random.nextInt(STATICS);
        boolean isStatic = random.nextInt(4) == 0 && !instances.contains(instance);
        String protocol = kind.equals("mixed") ? (random.nextBoolean() ? "classic" : "consumer") : kind;
        Member member = new Member(started.incrementAndGet(), protocol, isStatic ? instance : null);
        members.add(member);
        joins++;
        member.thread.start();
    }

    private void produce() throws Exception {
        for (int p = 0; p < partitions; p++) {
            for (int i = random.nextInt(5); i > 0; i--) {
                producer.send(new ProducerRecord<>(name, p, null, new byte[20]));
                produced[p]++;
            }
        }
        producer.flush();
    }

    /** Nobody joins or leaves any more: every partition gets one owner, who agrees, and every record is read. */
    private void settle() throws Exception {
        long deadline = System.nanoTime() + SETTLE_S * 1_000_000_000L;
        produce();
        String missing;
        do {
            if (System.nanoTime() > deadline) {
                fail("not settled after " + SETTLE_S + " s: " + missing());
                return;
            }
            Thread.sleep(100);
            members.removeIf(member -> !member.thread.isAlive());
            missing = missing();
        } while (missing != null && failed() == null);
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            Map<TopicPartition, OffsetAndMetadata> offsets =
                    admin.listConsumerGroupOffsets(name).partitionsToOffsetAndMetadata().get();
            for (int p = 0; p < partitions; p++) {
                OffsetAndMetadata offset = offsets.get(new TopicPartition(name, p));
                long told = offset == null ? 0 : offset.offset();
                if (told != produced[p]) {
                    fail("partition " + p + " was committed up to " + produced[p] + ", the group has " + told);
                }
            }
        }
    }

    private synchronized String missing() {
        for (int p = 0; p < partitions; p++) {
            Member owner = owners.get(p);
            if (owner == null) {
                return "partition " + p + " has no owner";
            }
            if (!owner.thread.isAlive() || !owner.assigned.contains(p)) {
                return "partition " + p + " belongs to " + owner + ", who does not know";
            }
            if (seen[p].cardinality() < produced[p]) {
                return "partition " + p + ": " + seen[p].cardinality() + " of " + produced[p] + " records read";
            }
            if (committed[p] < produced[p]) {
                return "partition " + p + ": committed up to " + committed[p] + " of " + produced[p];
            }
        }
        return null;
    }

    private synchronized String failed() {
        return failure;
    }

    private synchronized void fail(String why) {
        failure = failure == null ? why : failure;
    }

    // --- the table

    private synchronized void gained(Member member, Collection<TopicPartition> gained) {
        rebalances++;
        for (TopicPartition partition : gained) {
            Member before = owners.put(partition.partition(), member);
            if (before != null && before != member) {
                // Allowed only if the other one is about to learn that it was expelled.
                suspects.put(partition.partition(), before);
            }
        }
    }

    private synchronized void gaveUp(Member member, Collection<TopicPartition> given, boolean wasExpelled) {
        lost += wasExpelled ? 1 : 0;
        for (TopicPartition partition : given) {
            if (owners.get(partition.partition()) == member) {
                owners.remove(partition.partition());
            } else if (suspects.remove(partition.partition(), member) && !wasExpelled) {
                fail(partition + " was given to " + owners.get(partition.partition()) + " while " + member + " had it");
            }
        }
    }

    private synchronized void acknowledged(Member member, Map<TopicPartition, OffsetAndMetadata> offsets) {
        commits++;
        offsets.forEach((partition, offset) -> {
            int p = partition.partition();
            if (owners.get(p) != member) {
                return;
            }
            if (offset.offset() < committed[p]) {
                fail(partition + " was committed at " + committed[p] + ", then " + member + " at " + offset.offset());
            }
            committed[p] = Math.max(committed[p], offset.offset());
        });
    }

    // --- a member

    private final class Member implements Runnable, ConsumerRebalanceListener {
        final int number;
        final String protocol;
        final String instance;
        final Thread thread;
        final Random dice;
        final Set<Integer> assigned = new HashSet<>(); // guarded by GroupChaos.this
        volatile End end = End.NONE;
        private KafkaConsumer<byte[], byte[]> consumer;

        Member(int number, String protocol, String instance) {
            this.number = number;
            this.protocol = protocol;
            this.instance = instance;
            this.dice = new Random(random.nextLong());
            this.thread = new Thread(this, toString());
            thread.setDaemon(true);
        }

        @Override
        public String toString() {
            return name + "/" + number + " (" + protocol + (instance == null ? "" : ", " + instance) + ")";
        }

        private KafkaConsumer<byte[], byte[]> newConsumer() {
            Properties config = new Properties();
            config.put("bootstrap.servers", bootstrap);
            config.put("group.id", name);
            config.put("group.protocol", protocol);
            config.put("client.id", "member-" + number);
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
            consumer = newConsumer();
            try {
                consumer.subscribe(List.of(name), this);
                while (end == End.NONE) {
                    consumer.poll(Duration.ofMillis(100)).forEach(this::read);
                    if (dice.nextInt(3) == 0) {
                        commit();
                    }
                }
                // A crash leaves the group without a word; a static member always does.
                consumer.close(end == End.CRASH
                        ? CloseOptions.groupMembershipOperation(CloseOptions.GroupMembershipOperation.REMAIN_IN_GROUP)
                        : CloseOptions.timeout(Duration.ofSeconds(10)));
            } catch (Exception e) {
                fail(this + ": " + e);
            }
        }

        private void read(ConsumerRecord<byte[], byte[]> record) {
            synchronized (GroupChaos.this) {
                seen[record.partition()].set((int) record.offset());
            }
        }

        private void commit() {
            Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
            for (TopicPartition partition : consumer.assignment()) {
                offsets.put(partition, new OffsetAndMetadata(consumer.position(partition)));
            }
            try {
                consumer.commitSync(offsets);
                acknowledged(this, offsets);
            } catch (RebalanceInProgressException | CommitFailedException expected) {
                // The next poll tells what became of the partitions.
            }
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            gained(this, partitions);
            synchronized (GroupChaos.this) {
                partitions.forEach(partition -> assigned.add(partition.partition()));
            }
            if (partitions.isEmpty()) {
                return;
            }
            long[] known;
            synchronized (GroupChaos.this) {
                known = committed.clone();
            }
            consumer.committed(Set.copyOf(partitions)).forEach((partition, offset) -> {
                long told = offset == null ? 0 : offset.offset();
                if (told < known[partition.partition()]) {
                    fail(partition + " was committed at " + known[partition.partition()] + ", " + this + " is told " + told);
                }
            });
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            if (end != End.CRASH && !partitions.isEmpty() && dice.nextBoolean()) {
                commit();
            }
            forget(partitions, false);
        }

        @Override
        public void onPartitionsLost(Collection<TopicPartition> partitions) {
            forget(partitions, true);
        }

        private void forget(Collection<TopicPartition> partitions, boolean wasExpelled) {
            synchronized (GroupChaos.this) {
                partitions.forEach(partition -> assigned.remove(partition.partition()));
            }
            gaveUp(this, partitions, wasExpelled);
        }
    }
}
