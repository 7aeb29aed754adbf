"""Jobs on a Flink cluster: what they are, how they do, and how they are started and ended."""
