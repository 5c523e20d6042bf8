import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Properties;
import java.util.stream.Collectors;

import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * A member of a group that says on standard output what happens to it: "assigned 0 1", "read partition offset". It
 * commits by itself and leaves at the end of standard input.
 * Arguments: bootstrap, group, topic, then configs as key=value.
 */
public final class GroupMember {
    private static volatile boolean stop;

    public static void main(String[] arguments) throws Exception {
        Properties config = new Properties();
        config.put("bootstrap.servers", arguments[0]);
        config.put("group.id", arguments[1]);
        config.put("client.id", "java");
        config.put("auto.offset.reset", "earliest");
        config.put("auto.commit.interval.ms", "100");
        for (int i = 3; i < arguments.length; i++) {
            config.put(arguments[i].split("=")[0], arguments[i].split("=")[1]);
        }
        KafkaConsumer<byte[], byte[]> consumer =
                new KafkaConsumer<>(config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        Thread end = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {}
            } catch (java.io.IOException e) {
                // The same as the end.
            }
            stop = true;
        });
        end.setDaemon(true);
        end.start();
        consumer.subscribe(List.of(arguments[2]), new ConsumerRebalanceListener() {
            @Override
            public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                say("assigned");
            }

            @Override
            public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                say(consumer.assignment().stream().map(p -> Integer.toString(p.partition()))
                        .collect(Collectors.joining(" ", "assigned ", "")));
            }
        });
        while (!stop) {
            consumer.poll(Duration.ofMillis(100)).forEach(record -> say("read " + record.partition() + " " + record.offset()));
        }
        consumer.close();
        Runtime.getRuntime().halt(0);
    }

    private static void say(String what) {
        System.out.println(what);
        System.out.flush();
    }
}
