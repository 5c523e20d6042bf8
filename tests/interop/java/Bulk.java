import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicReference;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Writes N records of about 100 bytes and reads each of them back.
 *
 * Record n goes to partition n mod P, so its offset must be n / P; its value is n and bytes that follow from n. Any
 * record lost, doubled, moved or changed is found.
 * Arguments: bootstrap, topic, N, P.
 */
public final class Bulk {
    public static void main(String[] arguments) throws Exception {
        String bootstrap = arguments[0];
        String topic = arguments[1];
        long count = Long.parseLong(arguments[2]);
        int partitions = Integer.parseInt(arguments[3]);
        long started = System.nanoTime();
        write(bootstrap, topic, count, partitions);
        report("wrote", count, started);
        started = System.nanoTime();
        read(bootstrap, topic, count, partitions);
        report("read and checked", count, started);
    }

    private static void report(String what, long count, long started) {
        double seconds = (System.nanoTime() - started) / 1e9;
        System.out.printf("%s %d records in %.1f s, %.0f a second%n", what, count, seconds, count / seconds);
    }

    /** 90 to 110 bytes: the number, then a xorshift sequence that it seeds. */
    private static byte[] value(long number) {
        byte[] bytes = new byte[90 + (int) (number % 21)];
        long state = number;
        for (int i = 0; i + 8 <= bytes.length; i += 8) {
            for (int b = 0; b < 8; b++) {
                bytes[i + b] = (byte) (state >>> (8 * b));
            }
            state = (state + 0x9E3779B97F4A7C15L) ^ state << 13;
            state ^= state >>> 7;
        }
        return bytes;
    }

    private static void write(String bootstrap, String topic, long count, int partitions) {
        Properties config = new Properties();
        config.put("bootstrap.servers", bootstrap);
        config.put("linger.ms", "5");
        config.put("batch.size", "131072");
        config.put("buffer.memory", "67108864");
        AtomicReference<Exception> failure = new AtomicReference<>();
        try (KafkaProducer<byte[], byte[]> producer =
                     new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (long n = 0; n < count && failure.get() == null; n++) {
                long offset = n / partitions;
                producer.send(new ProducerRecord<>(topic, (int) (n % partitions), null, value(n)), (sent, error) -> {
                    if (error != null) {
                        failure.compareAndSet(null, error);
                    } else if (sent.offset() != offset) {
                        failure.compareAndSet(null, new IllegalStateException("acknowledged at " + sent + ", want " + offset));
                    }
                });
            }
        }
        if (failure.get() != null) {
            throw new IllegalStateException("a record was not written", failure.get());
        }
    }

    private static void read(String bootstrap, String topic, long count, int partitions) {
        Properties config = new Properties();
        config.put("bootstrap.servers", bootstrap);
        config.put("auto.offset.reset", "none");
        config.put("enable.auto.commit", "false");
        config.put("max.poll.records", "10000");
        config.put("max.partition.fetch.bytes", "4194304");
        List<TopicPartition> all = new ArrayList<>();
        for (int i = 0; i < partitions; i++) {
            all.add(new TopicPartition(topic, i));
        }
        long[] next = new long[partitions];
        long seen = 0;
        try (KafkaConsumer<byte[], byte[]> consumer =
                     new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.assign(all);
            all.forEach(partition -> consumer.seek(partition, 0));
            long lastProgress = System.nanoTime();
            while (seen < count) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                    checkRecord(record, next[record.partition()]++, partitions);
                    seen++;
                    lastProgress = System.nanoTime();
                }
                if (System.nanoTime() - lastProgress > 30_000_000_000L) {
                    throw new IllegalStateException("after " + seen + " records nothing came for 30 s");
                }
            }
            for (TopicPartition partition : all) {
                long end = consumer.endOffsets(all).get(partition);
                if (end != next[partition.partition()]) {
                    throw new IllegalStateException(partition + " ends at " + end + ", want " + next[partition.partition()]);
                }
            }
        }
    }

    private static void checkRecord(ConsumerRecord<byte[], byte[]> record, long offset, int partitions) {
        if (record.offset() != offset) {
            throw new IllegalStateException(record.partition() + ": offset " + record.offset() + ", want " + offset);
        }
        if (!java.util.Arrays.equals(record.value(), value(offset * partitions + record.partition()))) {
            throw new IllegalStateException(record.partition() + ": the value at " + offset + " is wrong");
        }
    }
}
