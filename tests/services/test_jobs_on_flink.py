"""The product's jobs on real Flink: the same features, dead letters and counts as elsewhere."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from drawing import alike
from flink_cluster import FlinkCluster
from out_of_order import AT_MS, KEYS, Log, drawn, job_of, without_ties
from processes import eventually_none
from replay import Replay, save
from waiting import eventually

from chronon_beam.api.counts import Metric
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.io.dead_letters.sinks import open_dead_letters
from chronon_beam.io.kv_store import open_store
from chronon_beam.pipeline.cli import main
from chronon_beam.pipeline.job import build
from chronon_beam.pipeline.metrics import committed
from chronon_beam.pipeline.runners.choose import runner_of

EXAMPLES = Path(__file__).parents[2] / "examples"
EVENTS = 200_000


@contextmanager
def way(name: str, request: pytest.FixtureRequest) -> Iterator[Any]:
    """DirectRunner, Flink in a box, or a cluster with workers as processes."""
    if name == "direct":
        with runner_of("DirectRunner", False, []) as chosen:
            yield chosen
        return
    master = "[local]" if name == "local" else request.getfixturevalue("flink_cluster").master
    with runner_of("FlinkRunner", False, [f"--flink_master={master}"]) as chosen:
        yield chosen


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Log]:
    log = drawn(EVENTS)
    path = tmp_path_factory.mktemp("log") / "messages"
    save(path, log.batches)
    return path, log


@pytest.mark.usefixtures("modules_on_workers")
@pytest.mark.parametrize("name", ["direct", "local", "cluster"])
def test_200_000_events_give_the_same_everywhere(
    name: str,
    log: tuple[Path, Log],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    path, expected = log
    store_uri = f"sqlite:{tmp_path}/features.db"
    dead_letters = tmp_path / "dead.jsonl"
    job = job_of(store_uri)
    with way(name, request) as chosen:
        root = beam.Pipeline(runner=chosen.runner, options=PipelineOptions(chosen.flags))
        build(root, job, Replay(path), open_dead_letters(f"file:{dead_letters}"))
        result = root.run()
        result.wait_until_finish()
        counts = committed(result, job.plan.group_by.name)
    store = open_store(store_uri)
    found = Fetcher(job.plan, store).fetch(KEYS, AT_MS)
    store.close()
    assert alike([without_ties(features) for features in found], expected.expected)
    buried = [json.loads(line) for line in dead_letters.read_text().splitlines()]
    assert {letter["position"] for letter in buried} == expected.dead
    assert {letter["step"] for letter in buried} == {"Decode"}
    assert counts["messages"] == EVENTS
    assert counts["filtered"] == expected.filtered
    assert counts[Metric.DEAD_DECODE] == len(expected.dead)
    assert counts["rows"] == EVENTS - len(expected.dead) - expected.filtered
    assert counts[Metric.LATE] > 500
    if name == "cluster":
        assert_all_ends(request.getfixturevalue("flink_cluster"))


def assert_all_ends(cluster: FlinkCluster) -> None:
    """Neither a job nor a worker stays."""
    assert eventually(lambda: set(cluster.jobs().values()) <= {"FINISHED", "CANCELED"})
    assert eventually(lambda: not cluster.workers())


@pytest.fixture
def worker_pool(tmp_path: Path) -> Iterator[str]:
    """The address of a pool, run as a container beside a TaskManager runs it; all of it ends."""
    command = [sys.executable, "-m", "chronon_beam.pipeline.runners.worker_pool", "--port=0"]
    marked = {**os.environ, "CHRONON_BEAM_TEST": str(tmp_path)}
    with subprocess.Popen(command, env=marked, stderr=subprocess.PIPE, text=True) as pool:
        assert pool.stderr
        yield next(line.split()[-1] for line in pool.stderr if line.startswith("workers are"))
        pool.terminate()
        assert pool.wait(120) == 0
    assert eventually_none(f"CHRONON_BEAM_TEST={tmp_path}")


def where(name: str, request: pytest.FixtureRequest) -> list[str]:
    """Flags: the embedded runner, Flink in a box, or a cluster with a pool of workers."""
    if name == "direct":
        return ["--runner=DirectRunner"]
    if name == "local":
        return ["--runner=FlinkRunner", "--flink_master=[local]"]
    cluster, pool = map(request.getfixturevalue, ("flink_cluster", "worker_pool"))
    return [
        "--runner=FlinkRunner",
        f"--flink_master={cluster.master}",
        f"--environment_config={pool}",
    ]


@pytest.fixture
def flags(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> list[str]:
    """Flags of `run`: on the runner of a name, into SQLite from a cluster, else into Bigtable."""
    store = f"sqlite:{tmp_path}/features.db"
    if name != "cluster":
        store = f"{request.getfixturevalue('bigtable')}-{name}?max_age=none"
    return [*where(name, request), f"--store={store}"]


@pytest.mark.parametrize("name", ["direct", "local", "cluster"])
def test_ice_cream_runs_from_the_command_line(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    group_by = f"--group_by={EXAMPLES / 'ice_cream' / 'group_by.py'}"
    source = f"--source=file:{EXAMPLES / 'ice_cream' / 'events.jsonl'}"
    store = flags[-1]
    assert main(["run", group_by, source, *flags]) == 0
    assert "3 events" in capsys.readouterr().err
    assert main(["fetch", group_by, store, "--key=customer_id=Alice", "--at=2000"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "customer_id_count_6h": 2,
        "flavor_last_6h": "olive oil",
    }
    assert main(["trace", group_by, source, store]) == 0
    stored = [json.loads(line)["stored"] for line in capsys.readouterr().out.splitlines()]
    assert [tile["isComplete"] for (tile,) in stored] == [True] * 3


@pytest.mark.parametrize("name", ["direct", "local"])
def test_flights_run_from_the_command_line(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    group_by = f"--group_by={EXAMPLES / 'flights' / 'group_by.py'}"
    source = f"--source=file:{EXAMPLES / 'flights' / 'flights.jsonl.gz'}"
    assert main(["run", group_by, source, *flags]) == 0
    capsys.readouterr()
    key = ["--key=carrier=UA", "--key=origin=EWR", "--at=1357250400000"]
    assert main(["fetch", group_by, flags[-1], *key]) == 0
    assert json.loads(capsys.readouterr().out)["flight_count_1d"] == 122
