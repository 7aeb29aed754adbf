"""Beam's SDK worker as a process of a TaskManager: see `worker_boot`, which starts it."""

import sys

from apache_beam.runners.worker.sdk_worker_main import main

from chronon_beam.pipeline.runners.state_sampler import stop_sampling

if __name__ == "__main__":
    stop_sampling()
    main(sys.argv)
