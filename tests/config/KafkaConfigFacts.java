import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.coordinator.group.GroupConfig;
import org.apache.kafka.server.config.AbstractKafkaConfig;
import org.apache.kafka.server.config.ConfigSynonym;
import org.apache.kafka.server.config.DynamicBrokerConfig;
import org.apache.kafka.server.config.QuotaConfig;
import org.apache.kafka.server.config.ServerTopicConfigSynonyms;
import org.apache.kafka.server.metrics.ClientMetricsConfigs;
import org.apache.kafka.storage.internals.log.LogConfig;

/**
 * Prints what Apache Kafka's own jars say about every configuration key, one tab-separated line a key:
 * set, name, type, default, validator, importance, update mode, internal, synonyms.
 * With the argument "--values", reads "set TAB name TAB value" lines and prints whether the jars admit each value.
 */
public final class KafkaConfigFacts {
    private static final String REQUIRED = "<required>";

    private static String text(Object value, ConfigDef.Type type) {
        if (value == ConfigDef.NO_DEFAULT_VALUE) return REQUIRED;
        if (value == null) return "<null>";
        String printed = ConfigDef.convertToString(value, type);
        return printed.isEmpty() ? "<empty>" : printed;
    }

    private static Object field(Object owner, String name) {
        try {
            java.lang.reflect.Field field = owner.getClass().getDeclaredField(name);
            field.setAccessible(true);
            return field.get(owner);
        } catch (ReflectiveOperationException e) {
            throw new IllegalStateException(owner.getClass() + " has no field " + name, e);
        }
    }

    /** The rule in the words of src/base/config/keys/README.md. */
    private static String rule(ConfigDef.Validator validator) {
        if (validator == null) return "-";
        String kind = validator.getClass().getSimpleName();
        switch (kind) {
            case "Range": {
                String[] ends = validator.toString().replaceAll("[\\[\\]]", "").split(",");
                String max = ends[ends.length - 1];
                return ends[0] + ".." + (max.equals("...") ? "" : max);
            }
            case "ValidString":
                return "one-of:" + strings(field(validator, "validStrings"));
            case "CaseInsensitiveValidString":
                return "one-of-any-case:" + ((java.util.Collection<?>) field(validator, "validStrings")).stream()
                    .map(Object::toString).sorted().collect(Collectors.joining(","));
            case "ValidList": {
                String allowed = strings(field(field(validator, "validString"), "validStrings"));
                boolean empty = (Boolean) field(validator, "isEmptyAllowed");
                return (empty ? "list" : "list!") + (allowed.isEmpty() ? "" : ":" + allowed);
            }
            case "NonEmptyString": return "non-empty";
            case "NonNullValidator": return "non-null";
            case "ThrottledReplicaListValidator": return "throttled-replicas";
            case "ControllerQuorumVotersValidator": return "quorum-voters";
            case "ControllerQuorumBootstrapServersValidator": return "quorum-servers";
            case "LambdaValidator": return validator.toString().endsWith("or -1") ? "gzip-level" : validator.toString();
            default: return validator.getClass().getName().endsWith("ShareGroupAutoOffsetResetStrategy$Validator") ? "offset-reset" : kind;
        }
    }

    private static String strings(Object list) {
        return ((List<?>) list).stream().map(Object::toString).collect(Collectors.joining(","));
    }

    private static void print(String set, ConfigDef def, Map<String, String> modes, Map<String, String> synonyms) {
        for (ConfigDef.ConfigKey key : new TreeMap<>(def.configKeys()).values()) {
            List<String> row = new ArrayList<>();
            row.add(set);
            row.add(key.name);
            row.add(key.type.name().toLowerCase());
            row.add(text(key.defaultValue, key.type));
            row.add(rule(key.validator));
            row.add(key.importance.name().toLowerCase());
            row.add(modes.getOrDefault(key.name, "read-only"));
            row.add(key.internalConfig ? "internal" : "public");
            row.add(synonyms.getOrDefault(key.name, "-"));
            System.out.println(String.join("\t", row));
        }
    }

    private static Map<String, String> topicSynonyms() {
        Map<String, String> out = new TreeMap<>();
        ServerTopicConfigSynonyms.ALL_TOPIC_CONFIG_SYNONYMS.forEach((topic, list) -> out.put(topic,
            list.stream().map(ConfigSynonym::name).collect(Collectors.joining(","))));
        return out;
    }

    private static Map<String, String> groupSynonyms() {
        Map<String, String> out = new TreeMap<>();
        for (Map.Entry<String, Optional<String>> e : GroupConfig.ALL_GROUP_CONFIG_SYNONYMS.entrySet())
            e.getValue().ifPresent(broker -> out.put(e.getKey(), broker));
        return out;
    }

    private static Map<String, String> brokerSynonyms(ConfigDef def) {
        Map<String, String> out = new TreeMap<>();
        for (String name : def.names()) {
            List<String> all = DynamicBrokerConfig.brokerConfigSynonyms(name, true);
            if (all.size() > 1) out.put(name, String.join(",", all));
        }
        return out;
    }

    private static Map<String, String> allDynamic(ConfigDef def) {
        return def.names().stream().collect(Collectors.toMap(n -> n, n -> "cluster-wide"));
    }

    private static Map<String, ConfigDef> sets() {
        Map<String, ConfigDef> out = new TreeMap<>();
        out.put("broker", AbstractKafkaConfig.CONFIG_DEF);
        out.put("broker-quota", QuotaConfig.brokerQuotaConfigs());
        out.put("topic", LogConfig.configDefCopy());
        out.put("group", GroupConfig.CONFIG_DEF);
        out.put("client-metrics", ClientMetricsConfigs.configDef());
        out.put("user-quota", QuotaConfig.scramMechanismsPlusUserAndClientQuotaConfigs());
        out.put("client-quota", QuotaConfig.userAndClientQuotaConfigs());
        out.put("ip-quota", QuotaConfig.ipConfigs());
        return out;
    }

    private static String verdict(ConfigDef.ConfigKey key, String value) {
        try {
            Object parsed = ConfigDef.parseType(key.name, value, key.type);
            if (key.validator != null) key.validator.ensureValid(key.name, parsed);
            return "ok\t" + text(parsed, key.type);
        } catch (Exception e) {
            return "refused";
        }
    }

    private static void judgeValues() {
        Map<String, ConfigDef> sets = sets();
        new java.io.BufferedReader(new java.io.InputStreamReader(System.in)).lines().forEach(line -> {
            String[] part = line.split("\t", -1);
            ConfigDef.ConfigKey key = sets.get(part[0]).configKeys().get(part[1]);
            System.out.println(line + "\t" + verdict(key, part[2]));
        });
    }

    public static void main(String[] args) {
        if (args.length > 0 && args[0].equals("--values")) {
            judgeValues();
            return;
        }
        sets().forEach((set, def) -> {
            Map<String, String> modes = set.equals("broker") ? DynamicBrokerConfig.dynamicConfigUpdateModes() : allDynamic(def);
            Map<String, String> synonyms = switch (set) {
                case "broker" -> brokerSynonyms(def);
                case "topic" -> topicSynonyms();
                case "group" -> groupSynonyms();
                default -> Map.of();
            };
            print(set, def, modes, synonyms);
        });
    }
}
