import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Properties;
import java.util.Set;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * The Java side of the matrix of clients and codecs (test_other_clients.py).
 * "write bootstrap topic codec count" writes record i as key "k<i>", value "value <i> xxx...", header h=<i>.
 * "read bootstrap count topic..." prints each record of each topic as topic|offset|key|value|header value.
 */
public final class Matrix {
    public static void main(String[] arguments) {
        if (arguments[0].equals("write")) {
            write(arguments[1], arguments[2], arguments[3], Integer.parseInt(arguments[4]));
        } else {
            for (String topic : List.of(arguments).subList(3, arguments.length)) {
                read(arguments[1], topic, Integer.parseInt(arguments[2]));
            }
        }
    }

    private static void write(String bootstrap, String topic, String codec, int count) {
        Properties config = new Properties();
        config.put("bootstrap.servers", bootstrap);
        config.put("compression.type", codec);
        config.put("linger.ms", "50");
        try (KafkaProducer<String, String> producer =
                     new KafkaProducer<>(config, new StringSerializer(), new StringSerializer())) {
            for (int i = 0; i < count; i++) {
                byte[] header = Integer.toString(i).getBytes(StandardCharsets.UTF_8);
                producer.send(new ProducerRecord<>(topic, 0, 1_600_000_000_000L + i, "k" + i,
                        "value " + i + " " + "x".repeat(100), List.of(new RecordHeader("h", header))));
            }
        }
    }

    private static void read(String bootstrap, String topic, int count) {
        Properties config = new Properties();
        config.put("bootstrap.servers", bootstrap);
        config.put("auto.offset.reset", "earliest");
        config.put("enable.auto.commit", "false");
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaConsumer<String, String> consumer =
                     new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer())) {
            consumer.assign(Set.of(partition));
            consumer.seek(partition, 0);
            long deadline = System.nanoTime() + 15_000_000_000L;
            int seen = 0;
            while (seen < count && System.nanoTime() < deadline) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
                    seen++;
                    System.out.println(topic + "|" + record.offset() + "|" + record.key() + "|" + record.value() + "|"
                            + new String(record.headers().lastHeader("h").value(), StandardCharsets.UTF_8));
                }
            }
        }
    }
}
