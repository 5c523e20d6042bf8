import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Arrays;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.concurrent.atomic.AtomicReference;

import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * An idempotent Java producer that goes on through crashes of the broker. Record n of a partition has the value "n:" and
 * must be acknowledged at offset n. Each line on standard input ("acked", "finish") is answered with one line of JSON.
 * Arguments: bootstrap, topic, partitions, codec.
 */
public final class CrashLoad {
    private static final AtomicReference<String> failure = new AtomicReference<>();
    private static volatile boolean stop;

    public static void main(String[] arguments) throws Exception {
        String topic = arguments[1];
        AtomicLongArray acked = new AtomicLongArray(Integer.parseInt(arguments[2]));
        Properties config = new Properties();
        config.put("bootstrap.servers", arguments[0]);
        config.put("compression.type", arguments[3]);
        config.put("linger.ms", "2");
        config.put("batch.size", "2000");
        config.put("buffer.memory", "400000");
        config.put("max.block.ms", "300000");
        config.put("delivery.timeout.ms", "300000");
        config.put("request.timeout.ms", "10000");
        config.put("retry.backoff.ms", "10");
        config.put("retry.backoff.max.ms", "50");
        config.put("reconnect.backoff.ms", "10");
        config.put("reconnect.backoff.max.ms", "50");
        KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
        Thread sender = new Thread(() -> send(producer, topic, acked), "sender");
        sender.setDaemon(true);
        sender.start();
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in));
        for (String request = requests.readLine(); request != null; request = requests.readLine()) {
            if (request.equals("finish")) {
                stop = true;
                sender.join();
                producer.flush();
            }
            long[] counts = new long[acked.length()];
            Arrays.setAll(counts, acked::get);
            String why = failure.get() == null ? "null" : '"' + failure.get().replace('"', '\'').replace('\n', ' ') + '"';
            System.out.println("{\"acked\": " + Arrays.toString(counts) + ", \"failure\": " + why + "}");
            System.out.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    private static void send(KafkaProducer<byte[], byte[]> producer, String topic, AtomicLongArray acked) {
        for (long number = 0; !stop && failure.get() == null; number++) {
            for (int p = 0; p < acked.length(); p++) {
                int partition = p;
                long n = number;
                byte[] value = (n + ":").getBytes();
                producer.send(new ProducerRecord<>(topic, partition, null, value), (sent, error) -> {
                    if (error != null) {
                        failure.compareAndSet(null, "record " + n + " of " + partition + ": " + error);
                    } else if (sent.offset() != n) {
                        failure.compareAndSet(null, "record " + n + " of " + partition + " is at " + sent.offset());
                    } else {
                        acked.set(partition, n + 1);
                    }
                });
            }
            if (number % 10 == 0) {
                // Some thousands a second are enough; the broker is what is tested.
                java.util.concurrent.locks.LockSupport.parkNanos(2_000_000);
            }
        }
    }
}
