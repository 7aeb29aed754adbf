"""What a request costs the feature server, beside Feast's own feature server.

    python benchmarks/serving.py
    python benchmarks/serving.py --quick

The GroupBys `light` and `heavy` of benchmarks/workload.py, over windows of 6 hours (73 tiles of 5
minutes per key) and 7 days (169 tiles of 1 hour), are written as tiles into a SQLite store and
served by `chronon-beam serve`; and those of 6 hours in layout `sliding`, too, where a key is one
tile. Beside it `feast serve` serves as many features from Feast's SQLite online store. Feast does
not aggregate: it is given the finished values, so it reads one row per feature, where our server
reads and merges the tiles of the window.

The same keys are asked for again and again, so our server has in memory what all tiles but the
newest have merged to. Cases named `cold` are of a server that keeps nothing in memory, as if each
key were asked for the first time.

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
from serving_store import AT_MS, READS, check, fill, key_of, plan_of

from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.io.kv_store import open_store

FEATURES = {"light": 2, "heavy": 11}
AT_ONCE = {1: 8, 100: 2}
"""Connections of requests that are sent as fast as they are answered, by their keys."""

CONNECTIONS = 32
HERE = Path(__file__).parent
FEAST = "feast>=0.40,<1"


class Case(NamedTuple):
    """A GroupBy of this kind, what is read of a key, and how many keys a request has.

    Attributes:
        reads: a name of `READS`.
        cold: whether the server keeps no merged tiles in memory.
    """

    kind: str
    reads: str
    keys: int
    cold: bool = False

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.kind} {self.reads}{' cold' * self.cold} {self.keys}"

    @property
    def peer(self) -> "Case":
        """The case of Feast's server with the same features."""
        return self._replace(reads="6h", cold=False)


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
    """Measure our server; all cases are cold, or none."""
    port = free_port()
    command = [Path(sys.executable).parent / "chronon-beam", "serve", "--store", uri]
    command += ["--port", port, "--no_access_log"]
    command += ["--merged_tiles_mb", 0] if cases[0].cold else []
    found = {}
    with running(command, port, "/readyz", folder) as server:
        for case in cases:
            path = f"/v1/features/groupby/bench.{case.kind}_{case.reads}?at={AT_MS}"
            bodies = [
                json.dumps([{"customer_id": key} for key in keys])
                for keys in keys_of(case.keys, arguments.keys)
            ]
            found[case.name] = measured(server, path, bodies, case, arguments)
            print(f"{'chronon-beam':<14} {case.name:<20} {found[case.name]}", flush=True)
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
            print(f"{'feast':<14} {case.name:<20} {found[case.name]}", flush=True)
    return found


def flags(argv: list[str]) -> argparse.Namespace:
    """What to measure."""
    cache = Path(tempfile.gettempdir()) / "chronon-beam-feast"
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keys", type=int, default=500, help="in the store")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
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
    reads, sizes = (["6h"], [1]) if arguments.quick else ([*READS], [1, 100])
    kinds = ["light", "heavy"]
    cases = [Case(kind, each, n) for kind in kinds for each in reads for n in sizes]
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        uri = f"sqlite:{folder}/features.db"
        store, views = open_store(uri), {}
        for kind in kinds:
            for each in reads:
                fetcher = Fetcher(plan_of(kind, each), store)
                fill(store, fetcher.plan, kind, arguments.keys)
                check(fetcher, kind, arguments.keys)
                if each == "6h":
                    views[kind] = feasts_view(fetcher, arguments.keys)
        store.close()
        cold = [case._replace(cold=True) for case in cases if case.reads == "6h"]
        found = ours(cases, uri, folder, arguments) | ours(cold, uri, folder, arguments)
        theirs: dict[str, Any] = {}
        if not arguments.no_peer:
            theirs = feasts(views, [case.peer for case in cold], folder, arguments)
    print(json.dumps(result(arguments, [*cases, *cold], found, theirs)))
    return 0


def result(
    arguments: argparse.Namespace, cases: list[Case], found: dict[str, Any], theirs: dict[str, Any]
) -> dict[str, Any]:
    """The object on the last line; its figures are those of light, 6 h, one key.

    `ratios` are those of CPU per request to Feast's server with the same features.
    """
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
    cpu_us, peers_us = ({n: m["cpu_us_per_request"] for n, m in x.items()} for x in (found, theirs))
    ratios = {
        case.name: round(cpu_us[case.name] / peers_us[case.peer.name], 3)
        for case in cases
        if case.reads.startswith("6h")
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
