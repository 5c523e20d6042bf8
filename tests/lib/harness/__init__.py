"""What the suites under tests/ share: brokers as processes, Apache Kafka's tools, a raw wire client."""
