"""Beam's SDK worker as a process of a TaskManager: see `worker_boot`, which starts it."""

import sys

from apache_beam.runners.worker.sdk_worker_main import main

from chronon_beam.pipeline.runners.own_metrics import stop_measuring

if __name__ == "__main__":
    stop_measuring()
    main(sys.argv)
