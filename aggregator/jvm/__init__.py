"""What Chronon's bytes take from Java: hashes, orders, decimals, object streams and sketches."""
