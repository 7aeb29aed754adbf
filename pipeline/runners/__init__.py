"""Where a job runs: Beam's runners with their flags, Flink's job server, Python workers."""
