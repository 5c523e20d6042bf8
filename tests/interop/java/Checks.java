import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * A list of named checks against one broker. Each prints "PASS name" or "FAIL name: why" on a line; one that does not
 * end in its time fails, and the next goes on. The pytest side reads the names out of the source, check("..."), and so
 * shows each as a test of its own.
 */
abstract class Checks {
    interface Body {
        void run() throws Exception;
    }

    private static final int CHECK_TIMEOUT_S = 40;

    final String bootstrap;
    final Admin admin;
    private final Map<String, Body> checks = new LinkedHashMap<>();
    private int topics = 0;

    Checks(String bootstrap) {
        this.bootstrap = bootstrap;
        Properties config = clientConfig();
        admin = Admin.create(config);
    }

    void check(String name, Body body) {
        if (checks.put(name, body) != null) {
            throw new IllegalStateException("two checks are named " + name);
        }
    }

    void runAll() {
        ExecutorService executor = Executors.newCachedThreadPool(task -> {
            Thread thread = new Thread(task, "check");
            thread.setDaemon(true);
            return thread;
        });
        checks.forEach((name, body) -> {
            long started = System.nanoTime();
            Future<?> running = executor.submit((Callable<Void>) () -> {
                body.run();
                return null;
            });
            try {
                running.get(CHECK_TIMEOUT_S, TimeUnit.SECONDS);
                System.out.println("PASS " + name);
                System.out.println("     " + (System.nanoTime() - started) / 1_000_000 + " ms");
            } catch (ExecutionException e) {
                System.out.println("FAIL " + name + ": " + describe(e.getCause()));
            } catch (TimeoutException e) {
                running.cancel(true);
                System.out.println("FAIL " + name + ": still running after " + CHECK_TIMEOUT_S + " s");
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
        admin.close(Duration.ZERO);
        executor.shutdownNow();
    }

    private static String describe(Throwable failure) {
        StringBuilder text = new StringBuilder(failure.toString().replace('\n', ' '));
        for (StackTraceElement frame : failure.getStackTrace()) {
            if (frame.getFileName() != null && frame.getFileName().endsWith("Checks.java")
                    && !frame.getMethodName().startsWith("expect")) {
                return text + " at " + frame.getFileName() + ":" + frame.getLineNumber();
            }
        }
        return text.toString();
    }

    // --- expectations ---

    static void expect(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }

    static void expectEqual(Object got, Object want) {
        expect(Objects.equals(got, want), "got " + got + ", want " + want);
    }

    /** The cause of a failed future, or the exception itself, must be of the type; gives it. */
    static <T extends Throwable> T expectThrows(Class<T> type, Body body) throws Exception {
        try {
            body.run();
        } catch (ExecutionException e) {
            if (type.isInstance(e.getCause())) {
                return type.cast(e.getCause());
            }
            throw new AssertionError("got " + e.getCause() + ", want " + type.getSimpleName(), e);
        } catch (Exception e) {
            if (type.isInstance(e)) {
                return type.cast(e);
            }
            throw new AssertionError("got " + e + ", want " + type.getSimpleName(), e);
        }
        throw new AssertionError("nothing thrown, want " + type.getSimpleName());
    }

    static void eventually(String what, Supplier<Boolean> condition) throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(15);
        while (!condition.get()) {
            expect(System.nanoTime() < deadline, "waited 15 s for " + what);
            Thread.sleep(20);
        }
    }

    // --- clients ---

    Properties clientConfig(String... pairs) {
        Properties config = new Properties();
        config.put("bootstrap.servers", bootstrap);
        config.put("request.timeout.ms", "15000");
        config.put("default.api.timeout.ms", "15000");
        for (int i = 0; i < pairs.length; i += 2) {
            config.put(pairs[i], pairs[i + 1]);
        }
        return config;
    }

    KafkaProducer<byte[], byte[]> producer(String... pairs) {
        Properties config = clientConfig("max.block.ms", "15000", "delivery.timeout.ms", "30000");
        config.remove("default.api.timeout.ms");
        for (int i = 0; i < pairs.length; i += 2) {
            config.put(pairs[i], pairs[i + 1]);
        }
        return new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
    }

    KafkaConsumer<byte[], byte[]> consumer(String... pairs) {
        Properties config = clientConfig("auto.offset.reset", "earliest", "enable.auto.commit", "false");
        for (int i = 0; i < pairs.length; i += 2) {
            config.put(pairs[i], pairs[i + 1]);
        }
        return new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    /** A new topic that no other check uses. */
    String topic(int partitions, String... configs) throws Exception {
        String name = getClass().getSimpleName().toLowerCase() + "-" + ++topics;
        Map<String, String> map = new LinkedHashMap<>();
        for (int i = 0; i < configs.length; i += 2) {
            map.put(configs[i], configs[i + 1]);
        }
        admin.createTopics(java.util.List.of(new NewTopic(name, partitions, (short) 1).configs(map))).all().get();
        // The answer comes from the controller; the broker learns of the topic a moment later.
        eventually("the new topic", () -> {
            try {
                return admin.describeTopics(java.util.List.of(name)).allTopicNames().get().get(name).partitions().stream()
                        .allMatch(partition -> partition.leader() != null);
            } catch (Exception e) {
                return false;
            }
        });
        return name;
    }
}
