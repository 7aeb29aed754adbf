"""What a request costs the feature server, beside Feast's own feature server.

    python benchmarks/serving.py
    python benchmarks/serving.py --quick

The GroupBys `light` and `heavy` of benchmarks/workload.py, over windows of 6 hours (73 tiles of 5
minutes a key) and 7 days (169 tiles of 1 hour), are written as tiles into a SQLite store and served
by `chronon-beam serve`. Beside it `feast serve` serves as many features from Feast's SQLite online
store. Feast does not aggregate: it is given the finished values, so it reads one row per feature,
where our server reads and merges the tiles of the window.

Each case is first asked as fast as it answers over 8 connections, 2 with 100 keys (requests/s, CPU
per request), and then at fixed rates by an open loop (benchmarks/serving_load.py). CPU is that of
the server's processes alone. A rate beyond nine tenths of what a server has answered is not asked
of it. The values of some keys are compared with a fold in plain Python. Feast is installed once,
into an environment of its own in `--feast`. The last line is one JSON object.
"""

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from processes import tree_cpu_s
from workload import FLAVORS, features_of, heavy, light, same

from chronon_beam.aggregator.layout import floor_to
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import GroupBy, TimeUnit, Window
from chronon_beam.api.data_types import DOUBLE, LONG, STRING
from chronon_beam.api.records import PutRequest
from chronon_beam.fetcher.changes import save
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.fetcher.serving_info import ServingInfo
from chronon_beam.io.kv_store import KVStore, open_store

TYPES = {"customer_id": STRING, "flavor": STRING, "price": DOUBLE, "shop": STRING, "ts": LONG}
WINDOWS = {"6h": Window(6, TimeUnit.HOURS), "7d": Window(7, TimeUnit.DAYS)}
AT_MS = 1_700_000_000_000
"""The time of all queries; it lies within a tile."""

FEATURES = {"light": 2, "heavy": 11}
EVENTS_A_TILE = 2
AT_ONCE = {1: 8, 100: 2}
"""Connections of requests that are sent as fast as they are answered, by their keys."""

CONNECTIONS = 32
HERE = Path(__file__).parent
FEAST = "feast>=0.40,<1"


class Case(NamedTuple):
    """A GroupBy of this kind and window, and how many keys a request has."""

    kind: str
    window: str
    keys: int

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.kind} {self.window} {self.keys}"


def group_by_of(kind: str, window: str) -> GroupBy:
    """The GroupBy of benchmarks/workload.py over another window."""
    declared = light if kind == "light" else heavy
    return declared(f"bench.{kind}_{window}", [WINDOWS[window]])


def key_of(number: int) -> str:
    """The name of a key."""
    return f"user{number:06d}"


def events_of(key: int, start_ms: int, size_ms: int) -> list[dict[str, Any]]:
    """The events of a key in one tile."""
    chance = random.Random(key * 1_000_003 + start_ms)
    return [
        {
            "customer_id": key_of(key),
            "ice_cream_flavor": chance.choice(FLAVORS),
            "price": chance.randrange(10_000) / 16,
            "shop": f"shop{chance.randrange(50)}",
            "created": start_ms + at,
        }
        for at in sorted(chance.sample(range(1000), EVENTS_A_TILE))
    ]


def starts_of(plan: Plan) -> range:
    """When the tiles begin that a query reads."""
    window, size_ms = plan.group_by.windows[0], plan.specs[0].size_ms
    return range(floor_to(AT_MS - window.millis, window.hop_ms), AT_MS, size_ms)


def fill(store: KVStore, plan: Plan, keys: int) -> None:
    """Write the tiles of all keys as a job does: in the order of time, not of keys."""
    save(store, ServingInfo(plan, tiled=True))
    dataset, size_ms = plan.group_by.streaming_dataset, plan.specs[0].size_ms
    upper = plan.group_by.name.startswith("bench.heavy")
    for start_ms in starts_of(plan):
        puts = []
        for key in range(keys):
            tile = plan.aggregator.zero()
            for event in events_of(key, start_ms, size_ms):
                flavor = event["ice_cream_flavor"]
                row = {**event, "flavor": flavor.upper() if upper else flavor}
                plan.aggregator.update(tile, [row[name] for name in plan.inputs], event["created"])
            key_bytes, value = plan.keys.encode([key_of(key)]), plan.tiles.encode(tile)
            puts.append(PutRequest(key_bytes, value, dataset, start_ms, start_ms, size_ms))
        assert store.multi_put(puts) == [None] * keys


def check(fetcher: Fetcher, kind: str, window: str, keys: int) -> None:
    """Compare the features of some keys with a fold in plain Python."""
    size_ms = fetcher.plan.specs[0].size_ms
    for key in range(min(keys, 3)):
        events = [e for at in starts_of(fetcher.plan) for e in events_of(key, at, size_ms)]
        wanted = {
            name.replace("_6h", f"_{window}"): value
            for name, value in features_of(kind, events).items()
        }
        found = fetcher.fetch([{"customer_id": key_of(key)}], AT_MS)[0]
        assert found.keys() == wanted.keys()
        for name, value in wanted.items():
            assert same(found[name], value), (name, found[name], value)


@dataclass(frozen=True)
class Server:
    """A server that runs, and the process that its processes descend from."""

    url: str
    pid: int


@contextmanager
def running(command: Sequence[str | Path], port: int, ready: str, folder: str) -> Iterator[Server]:
    """Start a server, wait until it answers at path `ready`, and stop it at the end."""
    url = f"http://127.0.0.1:{port}"
    with (Path(folder) / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [*map(str, command)], cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
        try:
            while not _answers(url + ready):
                if process.poll() is not None:
                    raise SystemExit((Path(folder) / "server.log").read_text()[-2000:])
                time.sleep(0.2)
            yield Server(url, process.pid)
        finally:
            process.terminate()
            process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


def free_port() -> int:
    """A port that nothing listens to."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def loaded(
    url: str, bodies: list[str], connections: int, seconds: float, rate: float = 0
) -> dict[str, Any]:
    """What benchmarks/serving_load.py measures."""
    asked = {"url": url, "bodies": bodies, "rate": rate, "seconds": seconds}
    found = subprocess.run(
        [sys.executable, HERE / "serving_load.py"],
        input=json.dumps({**asked, "connections": connections}),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(found.stdout)


def values_in(server: Server, path: str, body: str) -> int:
    """How many feature values a server answers with that are not null."""
    asked = urllib.request.Request(
        server.url + path, body.encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(asked) as answer:
        results = json.load(answer)["results"]
    if "features" in results[0]:
        values = [value for result in results for value in result["features"].values()]
    else:  # Feast answers by feature, with the keys as one of them
        values = [value for result in results[1:] for value in result["values"]]
    return sum(value is not None for value in values)


def measured(
    server: Server, path: str, bodies: list[str], case: Case, arguments: argparse.Namespace
) -> dict[str, Any]:
    """What one case costs a server, after a warm-up; `errors` are refusals of an overload."""
    url, seconds, wanted = server.url + path, arguments.seconds, case.keys * FEATURES[case.kind]
    values = values_in(server, path, bodies[0])
    assert values == wanted, f"{path}: {values} values, {wanted} expected"
    loaded(url, bodies, AT_ONCE[case.keys], min(seconds, 1.0))
    before_s = tree_cpu_s(server.pid)
    most = loaded(url, bodies, AT_ONCE[case.keys], seconds)
    cpu_s = tree_cpu_s(server.pid) - before_s
    found: dict[str, Any] = {
        "requests_per_s": most["per_s"],
        "cpu_us_per_request": round(cpu_s / most["answers"] * 1e6),
        "errors": most["errors"],
    }
    for rate in arguments.rates:
        if rate <= most["per_s"] * 0.9:
            at_rate = loaded(url, bodies, CONNECTIONS, seconds, rate)
            found[f"at_{rate}"] = {name: at_rate[name] for name in ("p50_ms", "p99_ms", "errors")}
    return found


def feast_python(folder: Path) -> Path:
    """The Python of Feast's environment, which is made and filled at the first call."""
    python = folder / "bin" / "python"
    if not (folder / "bin" / "feast").exists():
        print(f"installing Feast into {folder}", flush=True)
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", FEAST], check=True)
    return python


def feasts_view(fetcher: Fetcher, keys: int) -> dict[str, Any]:
    """Names, Feast's types and values of a GroupBy's features."""
    asked = [{"customer_id": key_of(key)} for key in range(keys)]
    rows = [
        {name: _plain(value) for name, value in row.items()} for row in fetcher.fetch(asked, AT_MS)
    ]
    types = {name: _feasts_type(value) for name, value in rows[0].items()}
    return {"types": types, "rows": {key_of(key): row for key, row in enumerate(rows)}}


def _plain(value: object) -> object:
    return json.dumps(value) if isinstance(value, dict) else value  # Feast has no maps of counts


def _feasts_type(value: object) -> str:
    if isinstance(value, list):
        return f"{_feasts_type(value[0])}s"
    return {int: "long", float: "double", str: "string"}[type(value)]


def keys_of(number: int, of: int) -> list[list[str]]:
    """The keys of a hundred requests."""
    chance = random.Random(number)
    return [[key_of(chance.randrange(of)) for _ in range(number)] for _ in range(100)]


def ours(cases: list[Case], uri: str, folder: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure our server."""
    port = free_port()
    command = [Path(sys.executable).parent / "chronon-beam", "serve", "--store", uri]
    command += ["--port", port, "--no_access_log"]
    found = {}
    with running(command, port, "/readyz", folder) as server:
        for case in cases:
            path = f"/v1/features/groupby/bench.{case.kind}_{case.window}?at={AT_MS}"
            bodies = [
                json.dumps([{"customer_id": key} for key in keys])
                for keys in keys_of(case.keys, arguments.keys)
            ]
            found[case.name] = measured(server, path, bodies, case, arguments)
            print(f"{'chronon-beam':<14} {case.name:<16} {found[case.name]}", flush=True)
    return found


def feasts(
    views: dict[str, Any], cases: list[Case], folder: str, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Measure Feast's server over the same features, whose values it is given."""
    python, port = feast_python(arguments.feast), free_port()
    subprocess.run(
        [python, HERE / "feast_repository.py", folder],
        input=json.dumps(views),
        text=True,
        check=True,
        stderr=subprocess.DEVNULL,
    )
    command = [python.parent / "feast", "-c", folder, "serve", "-p", port, "--no-access-log"]
    command += ["--max-requests", 1 << 30]  # by default its worker starts again after 1,000
    found = {}
    with running(command, port, "/health", folder) as server:
        for case in cases:
            names = [f"{case.kind}:{name}" for name in views[case.kind]["types"]]
            bodies = [
                json.dumps({"features": names, "entities": {"customer_id": keys}})
                for keys in keys_of(case.keys, arguments.keys)
            ]
            found[case.name] = measured(server, "/get-online-features", bodies, case, arguments)
            print(f"{'feast':<14} {case.name:<16} {found[case.name]}", flush=True)
    return found


def flags(argv: list[str]) -> argparse.Namespace:
    """What to measure."""
    cache = Path(tempfile.gettempdir()) / "chronon-beam-feast"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keys", type=int, default=500, help="in the store")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--rates", type=int, nargs="+", default=[200, 500], help="requests/s")
    parser.add_argument("--quick", action="store_true", help="one key, 6 hours, a second each")
    parser.add_argument("--feast", type=Path, default=cache, help="folder of Feast's environment")
    parser.add_argument("--no_peer", action="store_true", help="measure our server alone")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """Write the store, measure both servers, print the result."""
    arguments = flags(argv)
    if arguments.quick:
        arguments.keys, arguments.seconds = 50, 1.0
    windows, sizes = (["6h"], [1]) if arguments.quick else ([*WINDOWS], [1, 100])
    kinds = ["light", "heavy"]
    cases = [Case(kind, window, n) for kind in kinds for window in windows for n in sizes]
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        uri = f"sqlite:{folder}/features.db"
        store, views = open_store(uri), {}
        for kind in kinds:
            for window in windows:
                fetcher = Fetcher(Plan(group_by_of(kind, window), TYPES), store)
                fill(store, fetcher.plan, arguments.keys)
                check(fetcher, kind, window, arguments.keys)
                if window == "6h":
                    views[kind] = feasts_view(fetcher, arguments.keys)
        store.close()
        found = ours(cases, uri, folder, arguments)
        theirs: dict[str, Any] = {}
        if not arguments.no_peer:
            asked = [case for case in cases if case.window == "6h"]
            theirs = feasts(views, asked, folder, arguments)
    print(json.dumps(result(arguments, found, theirs)))
    return 0


def result(
    arguments: argparse.Namespace, found: dict[str, Any], theirs: dict[str, Any]
) -> dict[str, Any]:
    """The object on the last line; its figures are those of light, 6 h, one key."""
    first = found["light 6h 1"]
    peer = theirs.get("light 6h 1")
    settings = {name: str(value) for name, value in vars(arguments).items()}
    made = {
        "benchmark": "serving",
        "settings": {**settings, "load": os.getloadavg()[0], "cores": os.cpu_count()},
        "events_per_s": first["requests_per_s"],
        "cpu_us_per_event": first["cpu_us_per_request"],
        "cases": found,
    }
    if peer is None:
        return made
    ratios = {
        name: round(found[name]["cpu_us_per_request"] / each["cpu_us_per_request"], 3)
        for name, each in theirs.items()
    }
    told = {"name": "feast serve, finished values", "cpu_us_per_event": peer["cpu_us_per_request"]}
    return {
        **made,
        "peer": {**told, "cases": theirs},
        "ratio": ratios["light 6h 1"],
        "ratios": ratios,
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
