#!/bin/bash
# Makes the metadata test data with Apache Kafka 4.3.0 jars in $1 (a directory of jars) under $2 (scratch, emptied).
# usage: make_kafka_metadata.sh JARS SCRATCH
set -e
JARS=$1; S=$2
CP="$JARS/*"
T() { java -Xmx128m -XX:TieredStopAtLevel=1 -cp "$CP" "$@"; }
rm -rf "$S"; mkdir -p "$S"; cd "$S"
cat > p <<X
process.roles=broker,controller
node.id=1
broker.rack=r1
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:29692,CONTROLLER://127.0.0.1:29693
advertised.listeners=PLAINTEXT://127.0.0.1:29692
controller.quorum.bootstrap.servers=127.0.0.1:29693
log.dirs=$S/logs
offsets.topic.replication.factor=1
metadata.log.max.record.bytes.between.snapshots=1500
metadata.max.idle.interval.ms=0
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
X
T kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qg -c p --standalone --add-scram 'SCRAM-SHA-256=[name=alice,iterations=4096,password=alice-secret]'
java -Xmx512m -cp "$CP" kafka.Kafka p > kafka.out 2>&1 &
K=$!
for i in $(seq 60); do (echo > /dev/tcp/127.0.0.1/29692) 2>/dev/null && break; sleep 1; done
sleep 2
B="--bootstrap-server 127.0.0.1:29692"
T org.apache.kafka.tools.TopicCommand $B --create --topic orders --partitions 3 --config retention.ms=1000000
T org.apache.kafka.tools.TopicCommand $B --create --topic gone --partitions 1 --config retention.ms=5
T org.apache.kafka.tools.TopicCommand $B --delete --topic gone
T kafka.admin.ConfigCommand $B --alter --entity-type users --entity-name bob --add-config 'SCRAM-SHA-512=[iterations=4096,password=secret]'
T kafka.admin.ConfigCommand $B --alter --entity-type users --entity-name alice --entity-type clients --entity-default --add-config 'producer_byte_rate=1024'
T kafka.admin.ConfigCommand $B --alter --entity-type brokers --entity-default --add-config 'log.cleaner.threads=2'
T kafka.admin.ConfigCommand $B --alter --entity-type topics --entity-name orders --add-config 'max.message.bytes=2000000' --delete-config retention.ms
T org.apache.kafka.tools.AclCommand $B --add --allow-principal User:bob --operation Read --topic orders
echo hello | T org.apache.kafka.tools.ConsoleProducer $B --topic orders
sleep 2
T org.apache.kafka.tools.TopicCommand $B --alter --topic orders --partitions 4
kill $K; wait $K || true
