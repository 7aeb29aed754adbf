"""The endpoint that Prometheus reads: its port, and who has one."""

import argparse
import json
import subprocess
import sys
from urllib.request import urlopen

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.portable_runner import JobServiceHandle
from google.protobuf import json_format

from chronon_beam.pipeline.metrics_flags import add_metrics, metrics_flags
from chronon_beam.pipeline.options import UsageError
from chronon_beam.pipeline.runners import worker_metrics
from chronon_beam.pipeline.runners.metrics_endpoint import Endpoint, endpoint_of

HOST = "127.0.0.1"


def test_processes_with_the_same_port_take_the_next_free_ones() -> None:
    with Endpoint(HOST, 0).start() as first:
        port = first.server.server_port
        with Endpoint(HOST, port).start() as second:
            assert second.server.server_port > port
            for served in (first, second):
                with urlopen(served.url) as answer:
                    assert "process_cpu_seconds_total" in answer.read().decode()


def test_address_of_another_machine_is_refused_with_the_remedy() -> None:
    with pytest.raises(OSError, match="cannot serve at 192.0.2.1:9095 to 9194: .*--metrics_host"):
        Endpoint("192.0.2.1", 9095).start()


def flags_of(*given: str) -> list[str]:
    parser = argparse.ArgumentParser()
    add_metrics(parser)
    return metrics_flags(parser.parse_args(given))


def test_flags_travel_to_the_workers_with_the_options_of_the_pipeline() -> None:
    flags = flags_of("--metrics_port=9095", "--metrics_host=0.0.0.0")
    options = PipelineOptions(flags=flags).get_all_options(drop_default=True)
    assert endpoint_of(options) == Endpoint("0.0.0.0", 9095)
    # A runner may hand a worker the numbers as texts, and leave out what has its default.
    assert endpoint_of({"metrics_port": "0"}) == Endpoint(HOST, 0)
    assert flags_of() == []
    assert endpoint_of(PipelineOptions(flags=[]).get_all_options()) is None


def test_port_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="--metrics_port=65536: 0 to 65535 is expected"):
        flags_of("--metrics_port=65536")


WORKER = """
import json, logging, sys
from urllib.request import urlopen
from apache_beam.runners.worker.sdk_worker_main import create_harness

logging.basicConfig(level=logging.INFO)
create_harness(json.load(sys.stdin), dry_run=True)
from chronon_beam.pipeline.runners import worker_metrics

print(urlopen(worker_metrics.url).read().decode())
"""
"""Beam's own start of a worker, up to where it would work."""


def test_beams_worker_serves_metrics_when_the_options_ask_for_them() -> None:
    flags = [*flags_of("--metrics_port=0"), worker_metrics.FLAG]
    options = PipelineOptions(flags=flags).get_all_options(drop_default=True)
    encoded = json_format.MessageToJson(JobServiceHandle.encode_pipeline_options(options))
    environment = {"PIPELINE_OPTIONS": encoded, "CONTROL_API_SERVICE_DESCRIPTOR": 'url: "none:1"'}
    worker = subprocess.run(
        [sys.executable, "-c", WORKER],
        input=json.dumps(environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert worker.returncode == 0, worker.stderr
    assert "Prometheus metrics of worker process" in worker.stderr
    assert "# TYPE chronon_messages_total counter" in worker.stdout
