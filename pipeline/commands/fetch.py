"""`chronon-beam fetch`: reads the features of keys."""

import json
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from chronon_beam.pipeline import options as flags
from chronon_beam.pipeline.command import DONE, Command
from chronon_beam.pipeline.json_lines import to_json

_EXAMPLE = """example:
  chronon-beam fetch --group_by examples/ice_cream/group_by.py --store sqlite:features.db \\
      --key customer_id=Alice --at 2000

Prints one JSON object a line, nothing else. --keys FILE has one JSON object of key columns a
line."""

_DEGRADED = (
    "chronon-beam: the batch values end more than two days before the query: windows longer than "
    "that reach too far back in {} answers; upload a later day"
)

_KEYS_PER_FETCH = 500


def _add_flags(parser: ArgumentParser) -> None:
    flags.add_group_by(parser)
    flags.add_store(parser)
    keys = parser.add_mutually_exclusive_group(required=True)
    keys.add_argument(
        "--key",
        action="append",
        metavar="NAME=VALUE",
        help="a key column; repeat it for a key of several columns",
    )
    keys.add_argument("--keys", metavar="FILE", help="one JSON object of key columns a line")
    parser.add_argument(
        "--at",
        type=int,
        metavar="MS",
        help="the time of the query in milliseconds since the epoch (default: now)",
    )


def _run(arguments: Namespace, _: list[str]) -> int:
    from chronon_beam.api.load import load_group_by
    from chronon_beam.fetcher.fetch import Fetcher
    from chronon_beam.fetcher.serving_info import load
    from chronon_beam.io.kv_store import open_store

    group_by = load_group_by(arguments.group_by, arguments.dialect)
    with closing(open_store(arguments.store)) as store:
        info = load(store, group_by)
        fetcher = Fetcher.of(info, store, _derive(info.plan))
        at_ms = int(time.time() * 1000) if arguments.at is None else arguments.at
        for keys in _keys(arguments, info.plan.keys.columns):
            for values in fetcher.fetch(keys, at_ms):
                print(to_json(values))
        if degraded := fetcher.counts["degraded"]:
            print(_DEGRADED.format(degraded), file=sys.stderr)
    return DONE


def _derive(plan: Any) -> Any:
    """The function for `Fetcher.derive`; without starting Spark where derivations only rename."""
    from chronon_beam.api.derivations import rename_only

    if rename_only(plan.group_by.derivations):
        return None
    from chronon_beam.pipeline.derive import spark_derivations

    return spark_derivations(plan)


def _keys(arguments: Namespace, columns: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """The keys that the user asks for, some hundred at a time."""
    from chronon_beam.fetcher.fetch import parse_key

    if arguments.key:
        yield [parse_key(arguments.key, columns)]
        return
    batch: list[dict[str, Any]] = []
    for key in _keys_in(Path(arguments.keys)):
        batch.append(key)
        if len(batch) == _KEYS_PER_FETCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _keys_in(file: Path) -> Iterator[dict[str, Any]]:
    if not file.is_file():
        raise flags.UsageError(
            f"--keys={file}: no such file: give one JSON object of key columns a line"
        )
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            yield _key_of(line, f"{file}:{number}")


def _key_of(line: str, where: str) -> dict[str, Any]:
    try:
        key = json.loads(line)
    except ValueError as error:
        raise flags.UsageError(f"{where}: not JSON: {error}") from error
    if not isinstance(key, dict):
        raise flags.UsageError(
            f"{where}: an object of key columns is expected, found {line.strip()}"
        )
    return key


COMMAND = Command("read the features of keys", _EXAMPLE, _add_flags, _run)
