import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.lang.reflect.Constructor;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.record.internal.MemoryRecords;

// The official classes of Apache Kafka as the judge of our codec.
//   Judge make LIBS SEED PER_VERSION FILE   writes random messages of every type and version
//   Judge check LIBS FILE                   decodes and encodes each message of a file; the bytes must agree
// The form of a file is told in tests/protocol/roundtrip.cc. The random messages follow the message files inside the
// jars, so that only fields of the version are set (Kafka refuses to write others).
public final class Judge {
    private record Range(int low, int high) {
        static Range parse(String text) {
            if (text == null || text.equals("none")) return new Range(1, 0);
            if (text.endsWith("+")) return new Range(Integer.parseInt(text.replace("+", "")), Short.MAX_VALUE);
            String[] ends = text.split("-");
            return new Range(Integer.parseInt(ends[0]), Integer.parseInt(ends[ends.length - 1]));
        }
        boolean has(int version) { return low <= version && version <= high; }
    }

    private record Type(String name, JsonNode schema, Class<?> javaClass, Range versions) {
        Message fresh() throws ReflectiveOperationException {
            return (Message) javaClass.getDeclaredConstructor().newInstance();
        }
    }

    private static final String[] LETTERS = {"a", "Z", "0", ".", "-", "_", "\"", "\u00e4", "\u20ac", "\ud83e\udd89"};

    private final Random random;

    private Judge(long seed) { random = new Random(seed); }

    public static void main(String[] args) throws Exception {
        Map<String, Type> types = load(new File(args[1]));
        if (args[0].equals("make")) {
            make(types, Long.parseLong(args[2]), Integer.parseInt(args[3]), args[4]);
        } else {
            System.exit(check(types, args[2]) ? 0 : 1);
        }
    }

    private static Map<String, Type> load(File libs) throws Exception {
        ObjectMapper mapper = new ObjectMapper().configure(JsonParser.Feature.ALLOW_COMMENTS, true);
        Map<String, Type> types = new TreeMap<>();
        for (File file : libs.listFiles((dir, name) -> name.startsWith("kafka-") && name.endsWith(".jar"))) {
            try (JarFile jar = new JarFile(file)) {
                Map<String, List<String>> classes = new HashMap<>();
                List<JarEntry> schemas = new ArrayList<>();
                jar.stream().forEach(entry -> {
                    String path = entry.getName();
                    if (path.matches("(common/)?(message|metadata)/[A-Za-z]+\\.json")) schemas.add(entry);
                    if (!path.endsWith(".class") || path.contains("$")) return;
                    String name = path.substring(path.lastIndexOf('/') + 1).replace(".class", "");
                    classes.computeIfAbsent(name, key -> new ArrayList<>()).add(path.replace(".class", "").replace('/', '.'));
                });
                for (JarEntry entry : schemas) {
                    JsonNode schema = mapper.readTree(jar.getInputStream(entry));
                    if (schema.get("validVersions").asText().equals("none")) continue;
                    String name = schema.get("name").asText();
                    types.put(name, new Type(name, schema, messageClass(classes, name),
                                             Range.parse(schema.get("validVersions").asText())));
                }
            }
        }
        return types;
    }

    private static Class<?> messageClass(Map<String, List<String>> classes, String name) throws Exception {
        for (String suffix : List.of("Data", "")) {
            for (String candidate : classes.getOrDefault(name + suffix, List.of())) {
                Class<?> found = Class.forName(candidate);
                if (Message.class.isAssignableFrom(found)) return found;
            }
        }
        throw new ClassNotFoundException(name);
    }

    private static void make(Map<String, Type> types, long seed, int perVersion, String path) throws Exception {
        Judge judge = new Judge(seed);
        try (DataOutputStream out = new DataOutputStream(new BufferedOutputStream(new FileOutputStream(path)))) {
            for (Type type : types.values()) {
                for (int version = type.versions.low; version <= type.versions.high; version++) {
                    for (int i = 0; i < perVersion; i++) {
                        Message message = type.fresh();
                        judge.fill(message, type.schema.get("fields"), type, version);
                        write(out, type.name, version, encode(message, version));
                    }
                }
            }
        }
    }

    private static void write(DataOutputStream out, String name, int version, byte[] bytes) throws IOException {
        out.writeUTF(name);
        out.writeShort(version);
        out.writeInt(bytes.length);
        out.write(bytes);
    }

    private static byte[] encode(Message message, int version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, (short) version));
        message.write(new ByteBufferAccessor(buffer), cache, (short) version);
        return Arrays.copyOf(buffer.array(), buffer.position());
    }

    // Fills the fields that the version has.
    private void fill(Object struct, JsonNode fields, Type type, int version) throws Exception {
        for (JsonNode field : fields) {
            String versions = field.has("versions") ? field.get("versions").asText() : field.get("taggedVersions").asText();
            if (!Range.parse(versions).has(version)) continue;
            String name = field.get("name").asText();
            Method setter = setter(struct.getClass(), "set" + name.substring(0, 1).toUpperCase() + name.substring(1));
            setter.invoke(struct, value(field, setter.getParameterTypes()[0], type, version));
        }
    }

    private static Method setter(Class<?> in, String name) throws NoSuchMethodException {
        for (Method method : in.getMethods()) {
            if (method.getName().equals(name) && method.getParameterCount() == 1) return method;
        }
        throw new NoSuchMethodException(in + "." + name);
    }

    private Object value(JsonNode field, Class<?> wanted, Type type, int version) throws Exception {
        boolean nullable = field.has("nullableVersions") && Range.parse(field.get("nullableVersions").asText()).has(version);
        if (nullable && random.nextInt(4) == 0) return null;
        String kind = field.get("type").asText();
        if (!kind.startsWith("[]")) return single(kind, field, wanted, type, version);
        String element = kind.substring(2);
        boolean struct = Character.isUpperCase(element.charAt(0));
        int count = !struct && random.nextInt(16) == 0 ? 100 + random.nextInt(100) : random.nextInt(struct ? 3 : 5);
        @SuppressWarnings("unchecked")
        Collection<Object> out = wanted == List.class ? new ArrayList<>()
                                                      : (Collection<Object>) wanted.getDeclaredConstructor().newInstance();
        for (int i = 0; i < count; i++) out.add(single(element, field, null, type, version));
        return out;
    }

    private Object single(String kind, JsonNode field, Class<?> wanted, Type type, int version) throws Exception {
        switch (kind) {
            case "bool": return random.nextBoolean();
            case "int8": return (byte) number();
            case "int16": return (short) number();
            case "uint16": return (int) number() & 0xffff;
            case "int32": return (int) number();
            case "uint32": return number() & 0xffffffffL;
            case "int64": return number();
            case "float64": return random.nextInt(4) == 0 ? 0.0 : random.nextGaussian() * 1e6;
            case "uuid": return random.nextInt(4) == 0 ? Uuid.ZERO_UUID : new Uuid(random.nextLong(), random.nextLong());
            case "string": return text();
            case "bytes": return wanted == ByteBuffer.class ? (Object) ByteBuffer.wrap(raw()) : raw();
            case "records": return MemoryRecords.readableRecords(ByteBuffer.wrap(raw()));
            default: return struct(kind, field, type, version);
        }
    }

    private Object struct(String kind, JsonNode field, Type type, int version) throws Exception {
        JsonNode fields = field.get("fields");
        if (fields == null || fields.isEmpty()) {
            for (JsonNode common : type.schema.get("commonStructs")) {
                if (common.get("name").asText().equals(kind)) fields = common.get("fields");
            }
        }
        Constructor<?> make = Class.forName(type.javaClass.getName() + "$" + kind).getDeclaredConstructor();
        Object out = make.newInstance();
        fill(out, fields, type, version);
        return out;
    }

    private long number() { return random.nextBoolean() ? random.nextInt(5) - 2 : random.nextLong(); }

    private byte[] raw() {
        byte[] out = new byte[random.nextInt(8) == 0 ? 128 + random.nextInt(200) : random.nextInt(12)];
        random.nextBytes(out);
        return out;
    }

    private String text() {
        StringBuilder out = new StringBuilder();
        for (int left = random.nextInt(8) == 0 ? 130 : random.nextInt(9); left > 0; left--) {
            out.append(LETTERS[random.nextInt(LETTERS.length)]);
        }
        return out.toString();
    }

    private static boolean check(Map<String, Type> types, String path) throws Exception {
        int messages = 0;
        int wrong = 0;
        TreeSet<String> seen = new TreeSet<>();
        try (DataInputStream in = new DataInputStream(new BufferedInputStream(new FileInputStream(path)))) {
            while (in.available() > 0 && wrong < 10) {
                String name = in.readUTF();
                int version = in.readShort();
                byte[] bytes = new byte[in.readInt()];
                in.readFully(bytes);
                messages++;
                seen.add(name + " v" + version);
                String difference = difference(types.get(name), version, bytes);
                if (difference == null) continue;
                wrong++;
                System.out.println(name + " v" + version + ": " + difference);
            }
        }
        int missing = 0;
        for (Type type : types.values()) {
            for (int version = type.versions.low; version <= type.versions.high; version++) {
                if (seen.contains(type.name + " v" + version)) continue;
                if (++missing > 10) continue;
                System.out.println(type.name + " v" + version + ": not in the file");
            }
        }
        System.out.printf("java: %d messages, %d types and versions, %d differ, %d missing%n", messages, seen.size(), wrong,
                          missing);
        return messages > 0 && wrong == 0 && missing == 0;
    }

    private static String difference(Type type, int version, byte[] bytes) throws Exception {
        if (type == null) return "no such message in Kafka";
        try {
            Message message = type.fresh();
            ByteBufferAccessor in = new ByteBufferAccessor(ByteBuffer.wrap(bytes));
            message.read(in, (short) version);
            byte[] again = encode(message, version);
            if (in.remaining() == 0 && Arrays.equals(bytes, again)) return null;
            HexFormat hex = HexFormat.of();
            return in.remaining() + " bytes left over\n  ours   " + hex.formatHex(bytes) + "\n  theirs " + hex.formatHex(again);
        } catch (RuntimeException refused) {
            return refused + "\n  ours   " + HexFormat.of().formatHex(bytes);
        }
    }
}
