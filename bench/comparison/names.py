"""What the measured are called."""

ODRADEK, KAFKA, FLOOR = "odradek", "kafka", "floor"
TITLES = {ODRADEK: "Odradek", KAFKA: "Apache Kafka 4.3.0", FLOOR: "floor"}
