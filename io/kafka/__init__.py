"""The `kafka:` source, on confluent-kafka: a splittable DoFn whose offsets belong to the runner."""
