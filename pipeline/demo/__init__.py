"""A live shop on one machine: Kafka, orders, the job on Flink, and how fresh features are."""
