import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * One member of each group in a process that is killed: a crash as the kernel makes it, nothing sent and nothing closed.
 * Its members' tables are in the parent: a line per call on standard output, "number group verb arguments", and the
 * line with the same number on standard input is its return.
 *
 * main's arguments: bootstrap, seed, then "topic protocol assignor instance" of each member; instance "-": none.
 */
public final class ChaosCrew {
    // --- in the process that will be killed

    private static final PrintStream OUT = System.out;
    private static final AtomicLong CALLS = new AtomicLong();
    private static final Map<Long, CompletableFuture<String>> WAITING = new ConcurrentHashMap<>();

    public static void main(String[] arguments) throws IOException {
        System.setOut(System.err);
        for (int i = 2; i < arguments.length; i++) {
            String[] member = arguments[i].split(" ");
            long seed = Long.parseLong(arguments[1]) + i;
            new ChaosMember(arguments[0], member[0], member[2], member[1], member[3].equals("-") ? null : member[3],
                    "crew-" + ProcessHandle.current().pid(), seed, new Remote(member[0])).start(member[0]);
        }
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] parts = line.split(" ", 2);
            WAITING.remove(Long.parseLong(parts[0])).complete(parts.length > 1 ? parts[1] : "");
        }
        Runtime.getRuntime().halt(1); // the parent is gone
    }

    private record Remote(String group) implements ChaosTable {
        private String call(String verb, String arguments) {
            long number = CALLS.incrementAndGet();
            CompletableFuture<String> answer = new CompletableFuture<>();
            WAITING.put(number, answer);
            synchronized (OUT) {
                OUT.print(number + " " + group + " " + verb + " " + arguments + "\n");
                OUT.flush(); // in one write, so that SIGKILL cannot cut it
            }
            return answer.join();
        }

        @Override
        public void gained(Collection<Integer> partitions) {
            call("gained", words(partitions));
        }

        @Override
        public void gaveUp(Collection<Integer> partitions, boolean wasExpelled) {
            call(wasExpelled ? "lost" : "revoked", words(partitions));
        }

        @Override
        public void acknowledged(Map<Integer, Long> offsets) {
            call("acknowledged", pairs(offsets));
        }

        @Override
        public void read(int partition, long first, long last) {
            call("read", partition + " " + first + " " + last);
        }

        @Override
        public Map<Integer, Long> known() {
            return pairs(call("known", ""));
        }

        @Override
        public void fail(String why) {
            call("fail", why.replace('\n', ' '));
        }
    }

    private static String words(Collection<?> values) {
        return values.stream().map(Object::toString).collect(Collectors.joining(" "));
    }

    private static List<Integer> numbers(String words) {
        return Arrays.stream(words.split(" ")).filter(word -> !word.isEmpty()).map(Integer::valueOf)
                .collect(Collectors.toList());
    }

    private static String pairs(Map<Integer, Long> values) {
        return words(values.entrySet().stream().map(each -> each.getKey() + "=" + each.getValue()).toList());
    }

    private static Map<Integer, Long> pairs(String words) {
        Map<Integer, Long> values = new HashMap<>();
        for (String word : words.split(" ")) {
            if (!word.isEmpty()) {
                values.put(Integer.valueOf(word.split("=")[0]), Long.valueOf(word.split("=")[1]));
            }
        }
        return values;
    }

    // --- in the parent

    private final Process process;
    private final Thread thread;

    /** tableOf: the table of this crew's member of that topic. */
    ChaosCrew(String bootstrap, long seed, List<String> members, Function<String, ChaosTable> tableOf) throws IOException {
        List<String> command = new ArrayList<>(List.of(
                ProcessHandle.current().info().command().orElse("java"), "-Xmx192m", "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1", "-cp", System.getProperty("java.class.path")));
        for (String property : List.of("log4j2.configurationFile", "odradek.test.loglevel")) {
            command.add(2, "-D" + property + "=" + System.getProperty(property));
        }
        command.addAll(List.of("ChaosCrew", bootstrap, Long.toString(seed)));
        command.addAll(members);
        process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
        thread = new Thread(() -> serve(tableOf), "crew");
        thread.setDaemon(true);
        thread.start();
    }

    private void serve(Function<String, ChaosTable> tableOf) {
        Map<String, ChaosTable> tables = new HashMap<>();
        try (BufferedReader calls = process.inputReader(); PrintStream returns = new PrintStream(process.getOutputStream())) {
            for (String line = calls.readLine(); line != null; line = calls.readLine()) {
                String[] parts = line.split(" ", 4);
                String told = apply(tables.computeIfAbsent(parts[1], tableOf), parts[2], parts[3]);
                returns.println(parts[0] + " " + told);
                returns.flush();
            }
        } catch (IOException | ArrayIndexOutOfBoundsException e) {
            // It was killed, maybe in the midst of a line.
        }
    }

    private static String apply(ChaosTable table, String verb, String arguments) {
        switch (verb) {
            case "gained" -> table.gained(numbers(arguments));
            case "lost", "revoked" -> table.gaveUp(numbers(arguments), verb.equals("lost"));
            case "acknowledged" -> table.acknowledged(pairs(arguments));
            case "read" -> {
                String[] words = arguments.split(" ");
                table.read(Integer.parseInt(words[0]), Long.parseLong(words[1]), Long.parseLong(words[2]));
            }
            case "known" -> {
                return pairs(table.known());
            }
            case "fail" -> table.fail(arguments);
            default -> throw new IllegalArgumentException(verb);
        }
        return "";
    }

    /** SIGKILL. When this returns the members tell nothing any more. */
    void kill() throws InterruptedException {
        process.destroyForcibly().waitFor();
        thread.join();
    }
}
