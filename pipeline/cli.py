"""The `chronon-beam` command. Exit codes: 0 done, 1 the job or check failed, 2 wrong use."""

import argparse
import base64
import json
import logging
import math
import os
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from shlex import quote
from typing import Any, NoReturn

from chronon_beam.api.group_by import GroupByError
from chronon_beam.pipeline import options as flags
from chronon_beam.pipeline.options import UsageError

DONE, FAILED, WRONG_USE = 0, 1, 2

_RUN_EXAMPLE = """example:
  chronon-beam run --group_by examples/ice_cream/group_by.py \\
      --source file:examples/ice_cream/events.jsonl --store sqlite:features.db

Flags that are not listed go to Beam and its runner, for example --streaming."""

_UPLOAD_EXAMPLE = """example:
  chronon-beam upload --group_by examples/flights/group_by.py \\
      --source file:examples/flights/flights.jsonl.gz --store sqlite:flights.db --ds 2013-01-02

Every event up to the end of that day (UTC) is in the values; `chronon-beam fetch` merges them with
what `chronon-beam run` has written since. Flags that are not listed go to Beam and its runner."""

_FETCH_EXAMPLE = """example:
  chronon-beam fetch --group_by examples/ice_cream/group_by.py --store sqlite:features.db \\
      --key customer_id=Alice --at 2000

Prints one JSON object a line, nothing else. --keys FILE has one JSON object of key columns a
line."""

_TRACE_EXAMPLE = """example:
  chronon-beam trace --group_by examples/ice_cream/group_by.py \\
      --source file:examples/ice_cream/events.jsonl

Prints one JSON object an event. Nothing is written to a store."""

_PLAN_EXAMPLE = """example:
  chronon-beam plan --group_by examples/ice_cream/group_by.py \\
      --source file:examples/ice_cream/events.jsonl

Takes the flags of `run` as well, and warns of those that would harm the job:
  chronon-beam plan --group_by examples/ice_cream/group_by.py \\
      --runner_config flink_cluster --flink_master=jobmanager:8081"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    _log_to_stderr()
    parser = _parser()
    try:
        arguments, unknown = parser.parse_known_args(
            _expanded(sys.argv[1:] if argv is None else argv)
        )
        if unknown and arguments.command not in (_run, _upload, _plan):
            arguments.parser.error(f"unknown argument {unknown[0]!r}")
        return arguments.command(arguments, unknown)
    except BrokenPipeError:
        # The reader of our output has seen enough; what is left must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return _complain("stopped", FAILED)
    except (GroupByError, UsageError, ValueError, ImportError) as error:
        return _complain(str(error), WRONG_USE)
    except (RuntimeError, OSError, sqlite3.Error) as error:
        return _complain(str(error), FAILED)


def _log_to_stderr() -> None:
    """Errors of others, and also warnings of ours; a level that the user asks for, of all."""
    asked = os.environ.get("CHRONON_BEAM_LOG")
    logging.basicConfig(level=asked or "ERROR", format=_LOG_FORMAT)
    logging.getLogger("chronon_beam").setLevel(asked or "WARNING")
    if not asked:
        # gRPC prints what it sees of a connection that ends; we say what comes of it.
        os.environ.setdefault("GRPC_VERBOSITY", "ERROR")


def _expanded(argv: Sequence[str]) -> list[str]:
    if not any(word.startswith("--runner_config") for word in argv):
        return list(argv)
    from chronon_beam.pipeline.runners.runner_config import with_config

    return with_config(argv)


_LOG_FORMAT = "%(levelname)s %(name)s: %(message)s"


def _complain(message: str, code: int) -> int:
    print(f"chronon-beam: {message}", file=sys.stderr)
    return code


class _Parser(argparse.ArgumentParser):
    """A parser whose errors name the flag that a misspelt one is nearest to."""

    _given: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._given = sys.argv[1:] if args is None else args
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        flags_given = [word.split("=", 1)[0] for word in self._given if word.startswith("--")]
        hints = [
            f": {flag}: did you mean {near}?"
            for flag in flags_given
            if flag not in self._option_string_actions
            and (near := flags.nearest(flag, list(self._option_string_actions)))
        ]
        super().error(message + "".join(hints[:1]))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="chronon-beam",
        description="Chronon GroupBys as a Beam pipeline: events in, fresh features out.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = _command(commands, "run", "compute the tiles of a GroupBy from events", _RUN_EXAMPLE)
    flags.add_group_by(run)
    flags.add_source(run, required=True)
    flags.add_store(run)
    flags.add_dead_letters(run)
    flags.add_tiling(run)
    flags.add_runner(run)
    run.set_defaults(command=_run)
    _add_upload(commands)
    fetch = _command(commands, "fetch", "read the features of keys", _FETCH_EXAMPLE)
    flags.add_group_by(fetch)
    flags.add_store(fetch)
    _add_keys(fetch)
    fetch.set_defaults(command=_fetch)
    trace = _command(commands, "trace", "follow each event through the operators", _TRACE_EXAMPLE)
    flags.add_group_by(trace)
    flags.add_source(trace, required=True)
    trace.add_argument("--tiling", choices=("tiled", "untiled"), default="tiled")
    trace.add_argument(
        "--store", metavar="URI", help="show what this store holds now for each event's tile, too"
    )
    trace.set_defaults(command=_trace)
    plan = _command(commands, "plan", "show tiles, schemas, cost and warnings", _PLAN_EXAMPLE)
    flags.add_group_by(plan)
    flags.add_source(plan, required=False)
    flags.add_runner(plan)
    plan.add_argument("--json", action="store_true", help="print one JSON object")
    plan.set_defaults(command=_plan, flags_of_run=list(run._option_string_actions))
    return parser


def _add_upload(commands: Any) -> None:
    upload = _command(commands, "upload", "compute the batch values of a GroupBy", _UPLOAD_EXAMPLE)
    flags.add_group_by(upload)
    flags.add_source(upload, required=True)
    flags.add_store(upload)
    flags.add_dead_letters(upload)
    flags.add_day(upload)
    flags.add_runner(upload)
    upload.set_defaults(command=_upload)


def _command(commands: Any, name: str, what: str, example: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=what,
        description=what[0].upper() + what[1:] + ".",
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(parser=parser)
    return parser


def _add_keys(parser: argparse.ArgumentParser) -> None:
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument(
        "--key",
        action="append",
        metavar="NAME=VALUE",
        help="a key column; repeat it for a key of several columns",
    )
    chosen.add_argument("--keys", metavar="FILE", help="one JSON object of key columns a line")
    parser.add_argument(
        "--at",
        type=int,
        metavar="MS",
        help="the time of the query in milliseconds since the epoch (default: now)",
    )


def _run(arguments: argparse.Namespace, beam_flags: list[str]) -> int:
    options = flags.job_options(arguments)
    from chronon_beam.pipeline.run import run
    from chronon_beam.pipeline.runners import beam_flags as beams

    flags.check_flags(beam_flags, beams.known(arguments.runner))
    done = run(options, arguments.runner, beam_flags)
    print(_next_steps(arguments, done.group_by.keys), file=sys.stderr)
    return DONE


def _upload(arguments: argparse.Namespace, beam_flags: list[str]) -> int:
    from chronon_beam.pipeline.runners import beam_flags as beams
    from chronon_beam.pipeline.upload import UploadOptions, upload

    flags.check_flags(beam_flags, beams.known(arguments.runner))
    given = {name: getattr(arguments, name) for name in UploadOptions.__dataclass_fields__}
    done = upload(UploadOptions(**given), arguments.runner, beam_flags)
    print(_next_steps(arguments, done.group_by.keys), file=sys.stderr)
    return DONE


def _next_steps(arguments: argparse.Namespace, keys: Sequence[str]) -> str:
    wanted = " ".join(f"--key {name}=..." for name in keys)
    return (
        f"Look at a value: chronon-beam fetch --group_by {quote(arguments.group_by)} "
        f"--store {quote(arguments.store)} {wanted}\n"
        "(features are as of now; --at MS gives those of another time)"
    )


def _fetch(arguments: argparse.Namespace, _: list[str]) -> int:
    from chronon_beam.api.load import load_group_by
    from chronon_beam.fetcher.fetch import Fetcher
    from chronon_beam.fetcher.serving_info import load
    from chronon_beam.io.kv_store import open_store

    group_by = load_group_by(arguments.group_by, arguments.dialect)
    store = open_store(arguments.store)
    try:
        info = load(store, group_by)
        fetcher = Fetcher.of(info, store, _derive(info.plan))
        at_ms = int(time.time() * 1000) if arguments.at is None else arguments.at
        for keys in _keys(arguments, info.plan.keys.columns):
            for values in fetcher.fetch(keys, at_ms):
                print(_json(values))
        if degraded := fetcher.counts["degraded"]:
            print(_DEGRADED.format(degraded), file=sys.stderr)
    finally:
        store.close()
    return DONE


def _derive(plan: Any) -> Any:
    from chronon_beam.api.derivations import rename_only

    if rename_only(plan.group_by.derivations):
        return None  # and Spark is not started
    from chronon_beam.pipeline.derive import spark_derivations

    return spark_derivations(plan)


_DEGRADED = (
    "chronon-beam: the batch values end more than two days before the query: windows longer than "
    "that reach too far back in {} answers; upload a later day"
)

_KEYS_AT_ONCE = 500


def _keys(arguments: argparse.Namespace, columns: Any) -> Iterator[list[dict[str, Any]]]:
    from chronon_beam.fetcher.fetch import parse_key

    if arguments.key:
        yield [parse_key(arguments.key, columns)]
        return
    file = Path(arguments.keys)
    if not file.is_file():
        raise UsageError(f"--keys={file}: no such file: give one JSON object of key columns a line")
    batch: list[dict[str, Any]] = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            batch.append(_key_of(line, f"{file}:{number}"))
        if len(batch) == _KEYS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _key_of(line: str, where: str) -> dict[str, Any]:
    try:
        key = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{where}: not JSON: {error}") from error
    if not isinstance(key, dict):
        raise UsageError(f"{where}: an object of key columns is expected, found {line.strip()}")
    return key


def _json(value: Any) -> str:
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    """What JSON can say: null for NaN and infinities, base64 for bytes, dates and so on as text."""
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value if value is None or isinstance(value, (str, int)) else str(value)


def _trace(arguments: argparse.Namespace, _: list[str]) -> int:
    from chronon_beam.io.kv_store import open_store
    from chronon_beam.pipeline.tracing import Tracer

    tiled = arguments.tiling == "tiled"
    with ExitStack() as opened:
        uri = arguments.store
        store = opened.enter_context(closing(open_store(uri))) if uri else None
        tracer = Tracer(arguments.group_by, arguments.dialect, arguments.source, tiled, store)
        for line in tracer.lines():
            print(_json(line))
    return DONE


def _plan(arguments: argparse.Namespace, others: list[str]) -> int:
    from chronon_beam.pipeline.describe import as_text, describe
    from chronon_beam.pipeline.prepare import loaded_group_by, planned
    from chronon_beam.pipeline.runners import beam_flags as beams
    from chronon_beam.pipeline.runners.choose import warnings_of

    flags.check_flags(others, [*beams.known(arguments.runner), *arguments.flags_of_run])
    group_by = loaded_group_by(arguments.group_by, arguments.dialect)
    over = planned(group_by, arguments.source) if arguments.source else None
    found = describe(group_by, over.plan if over else None)
    live = not over.source.bounded if over else None
    found["warnings"] += warnings_of(arguments.runner, others, live)
    print(json.dumps(found) if arguments.json else as_text(found))
    return DONE


if __name__ == "__main__":
    sys.exit(main())
