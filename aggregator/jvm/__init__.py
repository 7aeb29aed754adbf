"""What Java's bytes and orders demand: its hashes, object streams, orders and sketches."""
