"""The product's jobs on real Flink: the same features, dead letters and counts as elsewhere."""

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from drawing import BEGIN_MS, DDL, alike, brute_force, group_by_of
from replay import Replay, save

from chronon_beam.api import Aggregation, Operation, Window
from chronon_beam.api.dialect import TimeUnit
from chronon_beam.api.records import Messages
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.io.dead_letters import open_dead_letters
from chronon_beam.io.kv_store import open_store
from chronon_beam.pipeline.cli import main
from chronon_beam.pipeline.job import Job, build
from chronon_beam.pipeline.progress import committed
from chronon_beam.pipeline.runners import runner_of
from chronon_beam.transforms.evaluate import plan_of, sql_query
from chronon_beam.transforms.sql import compile_query, parse_ddl

EXAMPLES = Path(__file__).parents[2] / "examples"
EVENTS = 200_000
TILE_MS = 300_000
HOUR = [Window(1, TimeUnit.HOURS)]
GROUP_BY = group_by_of(
    [
        Aggregation("d", Operation.SUM, HOUR),
        Aggregation("s", Operation.LAST, HOUR),
        Aggregation("i", Operation.COUNT, HOUR, buckets=["s"]),
        Aggregation("d", Operation.TOP_K(2), HOUR),
    ]
)
KEYS = [{"user": user, "shop": shop} for user in ("ann", "böb", None) for shop in (1, 2, None)]
AT_MS = BEGIN_MS + 1_800_000


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


def drawn() -> tuple[list[Messages], list[dict[str, Any]], set[int], int]:
    """Batches, the events that count, the positions that are dead, and how many are filtered.

    Events are up to two minutes out of order; a tenth is damaged; one in a hundred is ten minutes
    old, when its tile has closed.
    """
    chance = random.Random(5)
    lines, sound, dead, filtered, promised = [], [], set(), 0, []
    for i in range(EVENTS):
        now_ms = BEGIN_MS + i * 1_700_000 // EVENTS
        old_ms = 600_000 if chance.random() < 0.01 else chance.randrange(120_000)
        event = {
            "user": chance.choice(["ann", "böb", None]),
            "shop": chance.choice([1, 2, None]),
            "d": chance.randrange(1000) / 8,
            "i": chance.choice([None, 3]),
            "s": chance.choice(["x", "y", None]),
            "created": now_ms - old_ms,
        }
        promised.append(now_ms - 120_001)
        if chance.random() < 0.1:
            lines.append(json.dumps(event).encode()[:-7])
            dead.add(i + 1)
            continue
        lines.append(json.dumps(event).encode())
        if event["user"] is None and event["shop"] is None:
            filtered += 1
        else:
            sound.append(event)
    batches = [
        Messages("log", list(range(a + 1, a + 1001)), lines[a : a + 1000], None, promised[a])
        for a in range(0, EVENTS, 1000)
    ]
    return batches, sound, dead, filtered


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Any:
    batches, sound, dead, filtered = drawn()
    path = tmp_path_factory.mktemp("log") / "messages"
    save(path, batches)
    expected = [brute_force(GROUP_BY, sound, key, AT_MS) for key in KEYS]
    return path, expected, dead, filtered


@pytest.mark.parametrize("name", ["direct", "local", "cluster"])
def test_200_000_events_give_the_same_everywhere(
    name: str,
    log: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    path, expected, dead, filtered = log
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    query = sql_query(GROUP_BY, parse_ddl(DDL))
    plan = plan_of(GROUP_BY, compile_query(query), "tumbling").checked(tiled=True)
    store_uri = f"sqlite:{tmp_path}/features.db"
    dead_letters = tmp_path / "dead.jsonl"
    job = Job(plan, query, store_uri, shards=2)
    with way(name, request) as chosen:
        root = beam.Pipeline(runner=chosen.runner, options=PipelineOptions(chosen.flags))
        build(root, job, Replay(path), open_dead_letters(f"file:{dead_letters}"))
        result = root.run()
        result.wait_until_finish()
        counts = committed(result, {})
    store = open_store(store_uri)
    found = Fetcher(plan, store).fetch(KEYS, AT_MS)
    store.close()
    assert alike([_without_ties(f) for f in found], [_without_ties(f) for f in expected])
    buried = [json.loads(line) for line in dead_letters.read_text().splitlines()]
    assert {letter["position"] for letter in buried} == dead
    assert {letter["step"] for letter in buried} == {"Decode"}
    assert counts["messages"] == EVENTS
    assert counts["filtered"] == filtered
    assert counts["dead"] == len(dead)
    assert counts["rows"] == EVENTS - len(dead) - filtered
    assert counts["late"] > 500


def _without_ties(features: dict[str, Any]) -> dict[str, Any]:
    """Without LAST, where several events share the latest time."""
    return {name: value for name, value in features.items() if name != "s_last_1h"}


@pytest.mark.parametrize("name", ["local", "cluster"])
def test_examples_run_from_the_command_line(
    name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    master = "[local]" if name == "local" else request.getfixturevalue("flink_cluster").master
    store = f"--store=sqlite:{tmp_path}/features.db"
    ice_cream = f"--group_by={EXAMPLES / 'ice_cream' / 'group_by.py'}"
    flags = ["--runner=FlinkRunner", f"--flink_master={master}", store]
    source = f"--source=file:{EXAMPLES / 'ice_cream' / 'events.jsonl'}"
    assert main(["run", ice_cream, source, *flags]) == 0
    assert "3 events" in capsys.readouterr().err
    assert main(["fetch", ice_cream, store, "--key=customer_id=Alice", "--at=2000"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "customer_id_count_6h": 2,
        "flavor_last_6h": "olive oil",
    }
    delays = f"--group_by={EXAMPLES / 'flights' / 'group_by.py'}"
    source = f"--source=file:{EXAMPLES / 'flights' / 'flights.jsonl.gz'}"
    assert main(["run", delays, source, *flags]) == 0
    key = ["--key=carrier=UA", "--key=origin=EWR", "--at=1357250400000"]
    assert main(["fetch", delays, store, *key]) == 0
    assert json.loads(capsys.readouterr().out)["flight_count_1d"] == 122
