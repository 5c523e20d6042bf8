import java.time.Duration;
import java.time.LocalTime;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.stream.Collectors;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Members of several groups join, leave, vanish and crash at random, all groups at once. A table shared by the members of
 * a group says who owns which partition: two owners at a time, a commit that went back, or a record that nobody read is
 * a failure. One line per group: "PASS name: figures" or "FAIL name: why".
 *
 * Arguments: bootstrap, seed, seconds, members of each group, then per group kind:assignor, where kind is classic,
 * consumer, or mixed (members of both protocols in one group).
 */
public final class GroupChaos {
    private static final int SETTLE_S = 90;
    private static final int STATICS = 3;
    private static final int CREWS = 2;

    private final String bootstrap;
    private final String name;
    private final String kind;
    private final String assignor;
    private final int most;
    private final Random random;
    private final int partitions;

    // The shared table; guarded by this.
    private final Map<Integer, Seat> owners = new HashMap<>();
    private final Map<Integer, Seat> suspects = new HashMap<>();
    private final long[] committed;
    private final BitSet[] seen;
    private final List<Seat> seats = new ArrayList<>();
    private String failure;
    private final ArrayDeque<String> history = new ArrayDeque<>();
    private int rebalances;
    private int lost;
    private int commits;
    private int started;
    private int joins;
    private int leaves;
    private int vanished;
    private int crashes;

    private final long[] produced;
    private KafkaProducer<byte[], byte[]> producer;

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
        List<GroupChaos> groups = new ArrayList<>();
        List<Thread> running = new ArrayList<>();
        for (String group : Arrays.copyOfRange(arguments, 4, arguments.length)) {
            GroupChaos chaos = new GroupChaos(arguments[0], group, members, seed);
            Thread thread = new Thread(() -> chaos.report(group, end), group);
            chaos.createTopic(); // before somebody's subscription makes it, with one partition
            groups.add(chaos);
            running.add(thread);
        }
        running.forEach(Thread::start);
        crash(arguments[0], seed, end, groups);
        for (Thread thread : running) {
            thread.join();
        }
        Runtime.getRuntime().halt(0);
    }

    /** Processes with a member of each group are killed, one after the other; the last ones stay. */
    private static void crash(String bootstrap, long seed, long end, List<GroupChaos> groups) throws Exception {
        Random random = new Random(seed);
        List<ChaosCrew> crews = new ArrayList<>();
        Map<ChaosCrew, List<Seat>> aboard = new HashMap<>();
        long margin = 6_000_000_000L; // for the last crew to join
        while (System.nanoTime() < end - margin) {
            while (crews.size() < CREWS) {
                Map<String, Seat> seats = new HashMap<>();
                groups.forEach(group -> seats.put(group.name, group.new Seat()));
                List<String> members = groups.stream().map(group -> seats.get(group.name).words()).toList();
                ChaosCrew crew = new ChaosCrew(bootstrap, random.nextLong(), members, seats::get);
                crews.add(crew);
                aboard.put(crew, List.copyOf(seats.values()));
            }
            Thread.sleep(4_000 + random.nextInt(3_000));
            if (System.nanoTime() < end - margin) {
                ChaosCrew crew = crews.remove(0);
                crew.kill();
                aboard.remove(crew).forEach(Seat::died);
            }
        }
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
        return joins + " joins, " + leaves + " leaves, " + vanished + " vanished, " + crashes + " killed, " + rebalances
                + " assignments, " + lost + " lost, " + commits + " commits, " + Arrays.stream(produced).sum() + " records";
    }

    // --- the story

    private void createTopic() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.createTopics(List.of(new NewTopic(name, partitions, (short) 1))).all().get();
        }
    }

    private String run(long end) throws Exception {
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
        for (Seat seat : here()) {
            seat.member.end = ChaosMember.End.LEAVE;
        }
        for (Seat seat : here()) {
            seat.thread.join(10_000);
        }
        producer.close(Duration.ofSeconds(5));
        return failed();
    }

    /** The members of this process. */
    private synchronized List<Seat> here() {
        seats.removeIf(seat -> !seat.isAlive());
        return seats.stream().filter(seat -> seat.thread != null).collect(Collectors.toList());
    }

    private void act() {
        List<Seat> here = here();
        List<Seat> staying =
                here.stream().filter(seat -> seat.member.end == ChaosMember.End.NONE).collect(Collectors.toList());
        int dice = random.nextInt(100);
        // Not at each turn: a group that never comes to rest has no owners to compare.
        if (dice < 12 && here.size() < most - CREWS || staying.size() < 2) {
            join();
        } else if (dice < 20) {
            end(staying.get(random.nextInt(staying.size())), ChaosMember.End.LEAVE);
            leaves++;
        } else if (dice < 24) {
            end(staying.get(random.nextInt(staying.size())), ChaosMember.End.VANISH);
            vanished++;
        }
    }

    private void end(Seat seat, ChaosMember.End end) {
        note(seat + " is told to " + end);
        seat.member.end = end;
    }

    private void join() {
        Seat seat = new Seat();
        seat.member = new ChaosMember(bootstrap, name, assignor, seat.protocol, seat.instance, "member-" + seat.number,
                random.nextLong(), seat);
        seat.thread = seat.member.start(seat.toString());
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
        seats.removeIf(seat -> !seat.isAlive());
        for (int p = 0; p < partitions; p++) {
            int partition = p;
            Seat owner = owners.get(p);
            if (owner == null) {
                return "partition " + p + " has no owner";
            }
            if (!owner.isAlive() || !owner.assigned.contains(p)) {
                return "partition " + p + " belongs to " + owner + ", who does not know";
            }
            Seat second = seats.stream().filter(seat -> seat != owner && seat.assigned.contains(partition)).findAny()
                    .orElse(null);
            if (second != null) {
                return "partition " + p + " belongs to " + owner + " and to " + second;
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
        if (failure == null) {
            failure = why;
            System.err.println(name + ": " + why + "\n  before it:\n  " + String.join("\n  ", history));
        }
    }

    /** What happened last, for who reads of a failure. */
    private synchronized void note(String what) {
        history.addLast(LocalTime.now() + " " + what);
        if (history.size() > 60) {
            history.removeFirst();
        }
    }

    // --- the table

    /** A member as the table knows it; it runs in this process, or in one that will be killed. */
    private final class Seat implements ChaosTable {
        final int number;
        final String protocol;
        final String instance;
        private final Set<Integer> assigned = new HashSet<>(); // guarded by GroupChaos.this, as are these:
        private boolean isDead;
        private ChaosMember member; // of this process
        private Thread thread;

        Seat() {
            synchronized (GroupChaos.this) {
                seats.removeIf(seat -> !seat.isAlive());
                Set<String> instances = seats.stream().map(seat -> seat.instance).collect(Collectors.toSet());
                String some = "static-" + random.nextInt(STATICS);
                boolean isStatic = random.nextInt(4) == 0 && !instances.contains(some);
                number = ++started;
                instance = isStatic ? some : null;
                protocol = kind.equals("mixed") ? (random.nextBoolean() ? "classic" : "consumer") : kind;
                seats.add(this);
                joins++;
            }
        }

        boolean isAlive() {
            return !isDead && (thread == null || thread.isAlive());
        }

        void died() {
            synchronized (GroupChaos.this) {
                note(this + " was killed");
                isDead = true;
                crashes++;
            }
        }

        /** For ChaosCrew. */
        String words() {
            return name + " " + protocol + " " + assignor + " " + (instance == null ? "-" : instance);
        }

        @Override
        public String toString() {
            return name + "/" + number + " (" + protocol + (instance == null ? "" : ", " + instance) + ")";
        }

        @Override
        public void gained(Collection<Integer> gained) {
            synchronized (GroupChaos.this) {
                note(this + " gained " + gained);
                rebalances++;
                assigned.addAll(gained);
                for (int partition : gained) {
                    Seat before = owners.put(partition, this);
                    if (before != null && before != this) {
                        // Allowed only if the other one is about to learn that it was expelled, or is dead.
                        suspects.put(partition, before);
                    }
                }
            }
        }

        @Override
        public void gaveUp(Collection<Integer> given, boolean wasExpelled) {
            synchronized (GroupChaos.this) {
                note(this + (wasExpelled ? " lost " : " gave up ") + given);
                lost += wasExpelled ? 1 : 0;
                assigned.removeAll(given);
                for (int partition : given) {
                    if (owners.get(partition) == this) {
                        owners.remove(partition);
                    } else if (suspects.remove(partition, this) && !wasExpelled) {
                        fail("partition " + partition + " was given to " + owners.get(partition) + " while " + this + " had it");
                    }
                }
            }
        }

        @Override
        public void acknowledged(Map<Integer, Long> offsets) {
            synchronized (GroupChaos.this) {
                commits++;
                offsets.forEach((p, offset) -> {
                    if (owners.get(p) != this) {
                        return;
                    }
                    if (offset < committed[p]) {
                        fail("partition " + p + " was committed at " + committed[p] + ", then " + this + " at " + offset);
                    }
                    committed[p] = Math.max(committed[p], offset);
                });
            }
        }

        @Override
        public void read(int partition, long first, long last) {
            synchronized (GroupChaos.this) {
                seen[partition].set((int) first, (int) last + 1);
            }
        }

        @Override
        public Map<Integer, Long> known() {
            synchronized (GroupChaos.this) {
                Map<Integer, Long> told = new HashMap<>();
                for (int p = 0; p < partitions; p++) {
                    told.put(p, committed[p]);
                }
                return told;
            }
        }

        @Override
        public void fail(String why) {
            GroupChaos.this.fail(this + ": " + why);
        }
    }
}
