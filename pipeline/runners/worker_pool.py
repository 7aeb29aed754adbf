"""Starts SDK workers for a TaskManager in another container: Beam's EXTERNAL environment.

`python -m chronon_beam.pipeline.runners.worker_pool` is the main process of a container beside the
TaskManager's, which shares its network, as containers of a Kubernetes pod do. A job with
`--environment_type=EXTERNAL --environment_config=localhost:50000` asks the pool for workers:

    TaskManager ── localhost:50000 ── pool ── guard ── SDK worker ── Spark's JVM

Workers end when the TaskManager ends them, or with the pool. If a worker dies, its bundles fail;
Flink then restarts the job, which asks the pool for a new worker.
"""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import grpc
from apache_beam.portability.api import beam_fn_api_pb2_grpc
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer

from chronon_beam.pipeline.runners.worker_boot import write_command
from chronon_beam.transforms.spark.cache_directory import cache_directory

PORT = 50_000
_STARTS_AT_A_TIME = 8


def serve(port: int = PORT) -> tuple[grpc.Server, int]:
    """Start a pool; gives its server, and its port.

    The pool listens on the loopback address alone, since its clients can have workers run any code.

    Args:
        port: where to listen; 0 chooses a free one.

    Raises:
        RuntimeError: the port is taken.
    """
    pool = BeamFnExternalWorkerPoolServicer(
        use_process=True, container_executable=str(write_command(cache_directory(), log=False))
    )
    server = grpc.server(ThreadPoolExecutor(_STARTS_AT_A_TIME))
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    bound = server.add_insecure_port(f"localhost:{port}")
    server.start()
    return server, bound


def main(argv: Sequence[str]) -> None:
    """Serve until this process gets SIGTERM or Ctrl-C; its workers end with it."""
    parser = argparse.ArgumentParser(description="Starts SDK workers for a TaskManager.")
    parser.add_argument("--port", type=int, default=PORT)
    ended = threading.Event()
    # The first process of a container ignores SIGTERM, unless it has a handler.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    server, port = serve(parser.parse_args(argv).port)
    print(f"workers are started by localhost:{port}", file=sys.stderr, flush=True)
    ended.wait()
    server.stop(None)


if __name__ == "__main__":
    main(sys.argv[1:])
