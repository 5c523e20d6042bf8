import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.LogDirDescription;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.QuorumInfo;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.BrokerIdNotRegisteredException;
import org.apache.kafka.common.errors.ElectionNotNeededException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.errors.SecurityDisabledException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;

/** The Java admin client against a single combined node, id 1. */
public final class AdminChecks extends Checks {
    private AdminChecks(String bootstrap) {
        super(bootstrap);
    }

    public static void main(String[] arguments) {
        AdminChecks checks = new AdminChecks(arguments[0]);
        checks.addTopics();
        checks.addConfigs();
        checks.addOffsets();
        checks.addCluster();
        checks.addManyPartitions();
        checks.runAll();
    }

    private TopicDescription describe(String topic) {
        try {
            return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
        } catch (Exception e) {
            return null;
        }
    }

    private static ConfigResource topicResource(String topic) {
        return new ConfigResource(ConfigResource.Type.TOPIC, topic);
    }

    private Config configs(ConfigResource resource) throws Exception {
        DescribeConfigsOptions options = new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
        return admin.describeConfigs(List.of(resource), options).all().get().get(resource);
    }

    private void alter(ConfigResource resource, String key, String value, OpType type) throws Exception {
        admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(new ConfigEntry(key, value), type))))
                .all().get();
    }

    private void send(String topic, int count) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer()) {
            for (int i = 0; i < count; i++) {
                producer.send(new ProducerRecord<>(topic, 0, 1000L + i, null, new byte[10]));
            }
        }
    }

    private void addTopics() {
        check("create says id, partitions, replication factor and configs", () -> {
            CreateTopicsResult made = admin.createTopics(List.of(new NewTopic("admin-create", Optional.of(3),
                    Optional.empty()).configs(Map.of("retention.ms", "5000000"))));
            expectEqual(made.numPartitions("admin-create").get(), 3);
            expectEqual(made.replicationFactor("admin-create").get(), 1);
            expectEqual(made.config("admin-create").get().get("retention.ms").value(), "5000000");
            expectEqual(made.config("admin-create").get().get("segment.bytes").value(), "1073741824");
            expectEqual(describe("admin-create").topicId(), made.topicId("admin-create").get());
        });
        check("create of several answers each alone", () -> {
            String exists = topic(1);
            CreateTopicsResult made = admin.createTopics(List.of(new NewTopic("admin-several", 1, (short) 1),
                    new NewTopic(exists, 1, (short) 1), new NewTopic("admin-zero", 0, (short) 1),
                    new NewTopic("admin-rf", 1, (short) 5)));
            made.values().get("admin-several").get();
            expectThrows(TopicExistsException.class, () -> made.values().get(exists).get());
            expectThrows(InvalidPartitionsException.class, () -> made.values().get("admin-zero").get());
            expectThrows(InvalidReplicationFactorException.class, () -> made.values().get("admin-rf").get());
        });
        check("create with validateOnly creates nothing", () -> {
            admin.createTopics(List.of(new NewTopic("admin-validate", 1, (short) 1)),
                    new CreateTopicsOptions().validateOnly(true)).all().get();
            expect(!admin.listTopics().names().get().contains("admin-validate"), "the topic exists");
        });
        check("describe by name and by id, unknown ones named", () -> {
            String topic = topic(2);
            TopicDescription byName = describe(topic);
            expectEqual(byName.partitions().size(), 2);
            expectEqual(byName.partitions().get(1).leader().id(), 1);
            expectEqual(byName.partitions().get(1).isr().size(), 1);
            expect(!byName.isInternal(), "internal");
            Uuid id = byName.topicId();
            expectEqual(admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds().get().get(id).name(), topic);
            expectThrows(UnknownTopicOrPartitionException.class,
                    () -> admin.describeTopics(List.of("admin-none")).allTopicNames().get());
            expectThrows(UnknownTopicIdException.class, () -> admin.describeTopics(
                    TopicCollection.ofTopicIds(List.of(Uuid.randomUuid()))).allTopicIds().get());
        });
        check("createPartitions grows, never shrinks", () -> {
            String topic = topic(2);
            admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all().get();
            eventually("four partitions", () -> describe(topic).partitions().size() == 4);
            expectThrows(InvalidPartitionsException.class,
                    () -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(4))).all().get());
            expectThrows(InvalidPartitionsException.class,
                    () -> admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(1))).all().get());
            expectThrows(UnknownTopicOrPartitionException.class,
                    () -> admin.createPartitions(Map.of("admin-none", NewPartitions.increaseTo(4))).all().get());
        });
        check("delete by name and by id", () -> {
            String first = topic(1);
            String second = topic(1);
            Uuid id = describe(second).topicId();
            admin.deleteTopics(List.of(first)).all().get();
            admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get();
            eventually("both to be gone", () -> describe(first) == null && describe(second) == null);
            expectThrows(UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(List.of(first)).all().get());
            expectThrows(UnknownTopicIdException.class,
                    () -> admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all().get());
        });
    }

    private void addConfigs() {
        check("topic configs set, delete, append, subtract", () -> {
            ConfigResource resource = topicResource(topic(1));
            alter(resource, "retention.ms", "777777", OpType.SET);
            ConfigEntry entry = configs(resource).get("retention.ms");
            expectEqual(entry.value(), "777777");
            expectEqual(entry.source(), ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG);
            expectEqual(entry.type(), ConfigEntry.ConfigType.LONG);
            expect(entry.documentation() != null && !entry.documentation().isEmpty(), "no documentation");
            alter(resource, "retention.ms", "", OpType.DELETE);
            expectEqual(configs(resource).get("retention.ms").source(), ConfigEntry.ConfigSource.DEFAULT_CONFIG);
            alter(resource, "cleanup.policy", "compact", OpType.APPEND);
            expectEqual(configs(resource).get("cleanup.policy").value(), "delete,compact");
            alter(resource, "cleanup.policy", "delete", OpType.SUBTRACT);
            expectEqual(configs(resource).get("cleanup.policy").value(), "compact");
            expectThrows(InvalidConfigurationException.class, () -> alter(resource, "retention.ms", "x", OpType.SET));
            expectThrows(InvalidConfigurationException.class, () -> alter(resource, "no.such", "x", OpType.SET));
            expectThrows(InvalidConfigurationException.class, () -> alter(resource, "retention.ms", "1", OpType.APPEND));
            expectThrows(UnknownTopicOrPartitionException.class,
                    () -> alter(topicResource("admin-none"), "retention.ms", "1", OpType.SET));
            expectThrows(UnknownTopicOrPartitionException.class, () -> configs(topicResource("admin-none")));
        });
        check("broker configs, per broker and default", () -> {
            ConfigResource one = new ConfigResource(ConfigResource.Type.BROKER, "1");
            ConfigResource all = new ConfigResource(ConfigResource.Type.BROKER, "");
            alter(all, "log.segment.bytes", "50000000", OpType.SET);
            alter(one, "log.segment.bytes", "60000000", OpType.SET);
            String topic = topic(1);
            eventually("the topic to inherit", () -> {
                try {
                    return configs(topicResource(topic)).get("segment.bytes").value().equals("60000000");
                } catch (Exception e) {
                    return false;
                }
            });
            expectEqual(configs(topicResource(topic)).get("segment.bytes").source(),
                    ConfigEntry.ConfigSource.DYNAMIC_BROKER_CONFIG);
            alter(one, "log.segment.bytes", "", OpType.DELETE);
            alter(all, "log.segment.bytes", "", OpType.DELETE);
            expectThrows(InvalidRequestException.class, () -> alter(one, "node.id", "7", OpType.SET));
            expectThrows(InvalidRequestException.class, () -> alter(all, "num.io.threads", "x", OpType.SET));
        });
    }

    private void addOffsets() {
        check("listOffsets by every spec", () -> {
            String topic = topic(1);
            send(topic, 10);
            TopicPartition partition = new TopicPartition(topic, 0);
            Map<OffsetSpec, Long> wants = Map.of(OffsetSpec.earliest(), 0L, OffsetSpec.latest(), 10L,
                    OffsetSpec.maxTimestamp(), 9L, OffsetSpec.forTimestamp(1005), 5L, OffsetSpec.earliestLocal(), 0L,
                    OffsetSpec.latestTiered(), -1L, OffsetSpec.forTimestamp(99999), -1L);
            for (Map.Entry<OffsetSpec, Long> want : wants.entrySet()) {
                long got = admin.listOffsets(Map.of(partition, want.getKey())).all().get().get(partition).offset();
                expect(got == want.getValue(), want.getKey() + ": got " + got + ", want " + want.getValue());
            }
            expectEqual(admin.listOffsets(Map.of(partition, OffsetSpec.maxTimestamp())).all().get().get(partition)
                    .timestamp(), 1009L);
        });
        check("deleteRecords moves the low watermark", () -> {
            String topic = topic(1);
            send(topic, 10);
            TopicPartition partition = new TopicPartition(topic, 0);
            expectEqual(admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(7)))
                    .lowWatermarks().get(partition).get().lowWatermark(), 7L);
            expectThrows(OffsetOutOfRangeException.class,
                    () -> admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(11))).all().get());
        });
        check("describeProducers shows the idempotent producer", () -> {
            String topic = topic(1);
            send(topic, 10);
            TopicPartition partition = new TopicPartition(topic, 0);
            var producers = admin.describeProducers(List.of(partition)).all().get().get(partition).activeProducers();
            expectEqual(producers.size(), 1);
            expectEqual(producers.get(0).lastSequence(), 9);
            expectEqual(producers.get(0).producerEpoch(), 0);
        });
    }

    private void addCluster() {
        check("describeCluster names the node, the controller and the cluster", () -> {
            DescribeClusterResult cluster = admin.describeCluster();
            expectEqual(cluster.nodes().get().size(), 1);
            expectEqual(cluster.nodes().get().iterator().next().id(), 1);
            expectEqual(cluster.controller().get().id(), 1);
            expectEqual(cluster.clusterId().get().length(), 22);
        });
        check("describeLogDirs knows sizes and space", () -> {
            String topic = topic(1);
            send(topic, 10);
            Collection<LogDirDescription> dirs = admin.describeLogDirs(List.of(1)).allDescriptions().get().get(1).values();
            LogDirDescription dir = dirs.iterator().next();
            expect(dir.replicaInfos().get(new TopicPartition(topic, 0)).size() > 0, "no size");
            expect(dir.totalBytes().getAsLong() >= dir.usableBytes().getAsLong(), "space");
        });
        check("describeFeatures and describeMetadataQuorum", () -> {
            var features = admin.describeFeatures().featureMetadata().get();
            expectEqual(features.finalizedFeatures().get("metadata.version").maxVersionLevel(), (short) 30);
            expectEqual(features.supportedFeatures().get("metadata.version").maxVersion(), (short) 30);
            QuorumInfo quorum = admin.describeMetadataQuorum().quorumInfo().get();
            expectEqual(quorum.leaderId(), 1);
            expectEqual(quorum.voters().size(), 1);
            expect(quorum.highWatermark() > 0, "no high watermark");
        });
        check("listConfigResources lists topics and brokers", () -> {
            String topic = topic(1);
            Collection<ConfigResource> all =
                    admin.listConfigResources(Set.of(ConfigResource.Type.TOPIC), new org.apache.kafka.clients.admin
                            .ListConfigResourcesOptions()).all().get();
            expect(all.contains(topicResource(topic)), "the topic is missing");
        });
        check("electLeaders is not needed and reassignments are none", () -> {
            TopicPartition partition = new TopicPartition(topic(1), 0);
            var elected = admin.electLeaders(ElectionType.PREFERRED, Set.of(partition)).partitions().get();
            expect(elected.get(partition).get() instanceof ElectionNotNeededException, elected.toString());
            expectEqual(admin.listPartitionReassignments().reassignments().get().size(), 0);
        });
        check("client quotas are kept", () -> {
            ClientQuotaEntity entity = new ClientQuotaEntity(Map.of("client-id", "admin-quota"));
            admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity,
                    List.of(new ClientQuotaAlteration.Op("producer_byte_rate", 1e6))))).all().get();
            eventually("the quota", () -> {
                try {
                    var all = admin.describeClientQuotas(ClientQuotaFilter.all()).entities().get();
                    return all.containsKey(entity) && all.get(entity).get("producer_byte_rate") == 1e6;
                } catch (Exception e) {
                    return false;
                }
            });
        });
        check("SCRAM users are kept", () -> {
            admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion("admin-user",
                    new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 8192), "secret"))).all().get();
            eventually("the user", () -> {
                try {
                    return admin.describeUserScramCredentials().users().get().contains("admin-user");
                } catch (Exception e) {
                    return false;
                }
            });
        });
        check("ACLs without an authorizer are SecurityDisabledException", () ->
            expectThrows(SecurityDisabledException.class, () -> admin.describeAcls(AclBindingFilter.ANY).values().get()));
        check("unregister of an unknown broker is BrokerIdNotRegisteredException", () ->
            expectThrows(BrokerIdNotRegisteredException.class, () -> admin.unregisterBroker(99).all().get()));
        check("listTopics hides internal topics unless asked", () -> {
            String topic = topic(1);
            Set<String> names = new TreeSet<>(admin.listTopics().names().get());
            expect(names.contains(topic), "the topic is missing");
            expect(names.stream().noneMatch(name -> name.startsWith("__")), names.toString());
        });
    }

    private void addManyPartitions() {
        check("describe of 150 topics of 14 partitions comes in pages", () -> {
            List<NewTopic> many = new ArrayList<>();
            for (int i = 0; i < 150; i++) {
                many.add(new NewTopic("admin-many-" + i, 14, (short) 1));
            }
            admin.createTopics(many).all().get();
            List<String> names = many.stream().map(NewTopic::name).collect(Collectors.toList());
            // More than the 2,000 partitions that one answer holds.
            eventually("the last topic", () -> describe("admin-many-149") != null);
            Map<String, TopicDescription> described = admin.describeTopics(names).allTopicNames().get();
            expectEqual(described.size(), 150);
            described.values().forEach(topic -> expectEqual(topic.partitions().size(), 14));
        });
    }
}
