"""What each argument of a launch must look like: the same patterns hold in Java."""

import re

import pytest

from chronon_beam.io.dead_letters.sinks import BUILT_IN as SINKS
from chronon_beam.io.kafka.options import parse_options
from chronon_beam.io.kv_store import BUILT_IN as STORES
from chronon_beam.pipeline.runners.beam_flags import known
from chronon_beam.pipeline.runners.metrics_endpoint import MetricsOptions, endpoint_of
from chronon_beam.pipeline.templates.parameters import FLINK, JOB, Parameter

OURS = MetricsOptions([]).get_all_options(current_only=True)
"""Options of the workers' own."""

BY_NAME = {each.name: each for each in (*JOB, *FLINK)}


def takes(name: str, value: str) -> bool:
    return re.fullmatch(BY_NAME[name].pattern, value) is not None


@pytest.mark.parametrize(
    "uri",
    [
        "kafka://broker:9092/orders",
        "kafka://a:1,b:2/orders,returns?start=orders/0:15,returns/1:20",
        "kafka://broker:9092/^shop_.*?start=2026-11-27T10:00:00Z&group=g&properties=/etc/kafka",
        "kafka://broker:9092/orders?schema=id STRING, ts BIGINT&start=earliest",
    ],
)
def test_sources_that_the_job_can_read_are_taken(uri: str) -> None:
    parse_options(uri)
    assert takes("source", uri)


@pytest.mark.parametrize(
    "uri",
    [
        "kafka://broker/orders",
        "kafka://broker:9092",
        "kafka://user:secret@broker:9092/orders",
        "kafka:broker:9092/orders",
        "file:events.jsonl",
        "kafka://broker:9092/orders?stop=end",
        "kafka://broker:9092/orders?start=earliest&stop=end",
    ],
)
def test_sources_that_the_job_cannot_read_are_not(uri: str) -> None:
    assert not takes("source", uri)


def test_every_scheme_of_stores_and_sinks_is_taken() -> None:
    assert all(takes("store", f"{scheme}:x") for scheme in STORES)
    assert all(takes("dead_letters", f"{scheme}:x") for scheme in SINKS)
    assert not takes("store", "features.db")


@pytest.mark.parametrize("parameter", [*JOB, *FLINK], ids=lambda each: each.name)
def test_default_is_a_value_and_help_is_for_people(parameter: Parameter) -> None:
    assert not parameter.default or re.fullmatch(parameter.pattern, parameter.default)
    assert not (parameter.required and parameter.default)
    assert parameter.help
    assert parameter.expected


@pytest.mark.parametrize("port", ["0", "9095", "65535"])
def test_ports_that_workers_can_serve_at_are_taken(port: str) -> None:
    assert takes("metrics_port", port)
    endpoint = endpoint_of({"metrics_port": port, "metrics_host": BY_NAME["metrics_host"].default})
    assert (endpoint.host, endpoint.port) == ("127.0.0.1", int(port))


@pytest.mark.parametrize("port", ["-1", "65536", "70000", "100000", "metrics", ""])
def test_what_is_no_port_is_not_taken(port: str) -> None:
    assert not takes("metrics_port", port)


def test_what_is_said_to_flink_are_options_that_it_or_a_worker_has() -> None:
    options = [*known("FlinkRunner"), *(f"--{name}" for name in OURS)]
    assert [each.name for each in FLINK if f"--{each.option or each.name}" not in options] == []
