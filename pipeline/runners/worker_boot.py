"""Starts a Python SDK worker for a runner's PROCESS environment: no container, no Docker.

Beam's own `boot` is a Go program in Beam's images. This module does the same for a worker that runs
in the launcher's Python environment: it asks the runner for the pipeline's options and addresses,
puts them into environment variables, and becomes Beam's worker. Staged files (`--setup_file`,
`--requirements_file`) are not installed.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import grpc
from apache_beam.portability.api import (
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
    endpoints_pb2,
)
from google.protobuf import json_format, text_format

from chronon_beam.pipeline.runners import guard

_ENDPOINTS = ("logging", "artifact", "provision", "control")
_GRACE_S = 1.0
"""Shorter than the two seconds which the runner leaves between SIGTERM and SIGKILL."""


def write_command(directory: Path, log: bool = True) -> Path:
    """Write the executable file that a runner starts as a worker; gives its path.

    Each Python environment has a file of its own, since a running job uses the file again whenever
    it starts a worker. The worker is guarded: it ends with the process that started it, and Spark's
    JVM with it.

    Args:
        directory: where to write the file.
        log: whether what a worker prints before it logs to the runner goes to `worker.log` beside
            the file, because TaskManagers discard it; otherwise the process that starts the worker
            gets it.
    """
    boot = [sys.executable, "-P", "-m", "chronon_beam.pipeline.runners.worker_boot"]
    command = shlex.join(guard.command_line(boot, "PARENT", _GRACE_S)).replace("PARENT", "$PPID")
    kind = "worker" if log else "pool-worker"
    path = directory / f"{kind}-{crc32(sys.executable.encode()):08x}"
    printed = f" 2>> {shlex.quote(str(directory / 'worker.log'))}" if log else ""
    partial = directory / f"{path.name}.{os.getpid()}.tmp"
    partial.write_text(f'#!/bin/sh\nexec {command} "$@"{printed}\n', encoding="utf-8")
    partial.chmod(0o755)
    return partial.replace(path)


def main_of_command() -> None:
    """The `chronon-beam-worker` command, which the PROCESS environment of a template names.

    The worker that it becomes is guarded: it ends with the TaskManager that started it.
    """
    boot = [sys.executable, "-P", "-m", "chronon_beam.pipeline.runners.worker_boot"]
    command = guard.command_line([*boot, *sys.argv[1:]], str(os.getppid()), _GRACE_S)
    os.execv(sys.executable, command)


def main(argv: Sequence[str]) -> None:
    """Become the SDK worker that `argv` (the runner's flags) asks for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--id", required=True)
    parser.add_argument("--semi_persist_dir", default="/tmp")
    for endpoint in _ENDPOINTS:
        parser.add_argument(f"--{endpoint}_endpoint", default="")
    flags, _ = parser.parse_known_args(argv)
    environment = {**os.environ, **worker_environment(flags)}
    worker = [sys.executable, "-m", "chronon_beam.pipeline.runners.sdk_worker_main"]
    # From here on the worker logs to the runner: a file would repeat that and grow for ever.
    for stream in (sys.stdout, sys.stderr):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    os.execve(sys.executable, worker, environment)


def worker_environment(flags: argparse.Namespace) -> dict[str, str]:
    """The environment variables that Beam's worker reads, by the runner's provision service."""
    info = _provision_info(flags.provision_endpoint, flags.id)
    environment = {
        "WORKER_ID": flags.id,
        "SEMI_PERSISTENT_DIRECTORY": flags.semi_persist_dir,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }
    for name in ("logging", "control", "status"):
        url = getattr(flags, f"{name}_endpoint", "") or getattr(info, f"{name}_endpoint").url
        if url:
            descriptor = text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=url))
            environment[f"{name.upper()}_API_SERVICE_DESCRIPTOR"] = descriptor
    return environment


def _provision_info(endpoint: str, worker_id: str) -> Any:
    with grpc.insecure_channel(endpoint) as channel:
        return (
            beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
            .GetProvisionInfo(
                beam_provision_api_pb2.GetProvisionInfoRequest(),
                metadata=(("worker_id", worker_id),),
            )
            .info
        )


if __name__ == "__main__":
    main(sys.argv[1:])
