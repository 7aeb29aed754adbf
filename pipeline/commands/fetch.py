"""`chronon-beam fetch`: reads the features of keys, of a GroupBy or of a join."""

import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from chronon_beam.api.time_text import moment_text, parse_moment
from chronon_beam.pipeline import options as flags
from chronon_beam.pipeline.command import DONE, FAILED, Command
from chronon_beam.pipeline.json_lines import to_json

if TYPE_CHECKING:
    from chronon_beam.fetcher.presence import Answer

_EXAMPLE = """example:
  chronon-beam fetch --group_by examples/ice_cream/group_by.py --store sqlite:features.db \\
      --key customer_id=Alice --at 1970-01-01T00:05:00Z

  chronon-beam fetch --join join.py --store sqlite:features.db --key buyer=7 --key seller=9

Prints one JSON object per line, nothing else: the features, and with --keys the key's columns
before them. --keys FILE has one JSON object of key columns per line; - is standard input."""

_DEGRADED = (
    "chronon-beam: the batch values end more than two days before the query: windows longer than "
    "that reach too far back in {} answers; upload a later day"
)

_WHOLE = (
    "chronon-beam: {} lies within a tile, which counts whole: events up to {} may be in the "
    "answer; it is exact where a tile begins"
)

_AT = """the time of the query: milliseconds since the epoch, or 2026-05-01T12:00:00Z (default:
now). If TIME is in the past, the tile that TIME lies in counts whole: the answer then holds events
up to a tile's length later. It is exact if a tile begins at TIME"""

STATUS = "__status"


def _add_flags(parser: ArgumentParser) -> None:
    declared = parser.add_argument_group("GroupBy").add_mutually_exclusive_group(required=True)
    for flag, what in (("--group_by", "GroupBy"), ("--join", "Join")):
        text = f"compiled {what} (Thrift JSON), or a Python file that declares one (FILE:VARIABLE)"
        declared.add_argument(flag, metavar="FILE", help=text)
    flags.add_dialect(parser)
    flags.add_store(parser)
    asked = parser.add_argument_group("what is asked for")
    keys = asked.add_mutually_exclusive_group(required=True)
    keys.add_argument(
        "--key",
        action="append",
        metavar="NAME=VALUE",
        help="a key column; repeat it for a key of several columns",
    )
    keys.add_argument(
        "--keys", metavar="FILE", help="one JSON object of key columns per line; - for stdin"
    )
    asked.add_argument("--at", type=parse_moment, metavar="TIME", help=_AT)
    asked.add_argument(
        "--status",
        action="store_true",
        help=f"add the field {STATUS}: found, outside_window (the store has the key, but nothing "
        "in its windows) or unknown; of a join found, unknown or failed",
    )


def _run(arguments: Namespace, _: list[str]) -> int:
    from chronon_beam.api.load import load_computable
    from chronon_beam.fetcher.fetch import Fetcher
    from chronon_beam.fetcher.presence import fetch_answers
    from chronon_beam.fetcher.serving_info import load
    from chronon_beam.io.kv_store import open_store
    from chronon_beam.pipeline.lazy_derive import lazy_derivations

    if arguments.join is not None:
        return _run_join(arguments)
    group_by = load_computable(arguments.group_by, arguments.dialect)
    with closing(open_store(arguments.store)) as store:
        info = load(store, group_by)
        fetcher = Fetcher.of(info, store, lazy_derivations(info.plan))
        now_ms = int(time.time() * 1000)
        at_ms = now_ms if arguments.at is None else arguments.at
        remarks = _Remarks(at_ms, now_ms)
        for keys in _keys(arguments, info.plan.keys.columns):
            for answer in fetch_answers(fetcher, keys, at_ms):
                print(to_json(_line(answer, arguments)))
                remarks.add(answer)
            sys.stdout.flush()
        remarks.tell()
        if degraded := fetcher.counts["degraded"]:
            print(_DEGRADED.format(degraded), file=sys.stderr)
    return DONE


def _run_join(arguments: Namespace) -> int:
    """Print a line per row; and on stderr, which parts have failed, and why."""
    from chronon_beam.api.load import load_join
    from chronon_beam.io.kv_store import open_store
    from chronon_beam.pipeline.joined import JoinedLines, open_join

    join = load_join(arguments.join, arguments.dialect)
    with closing(open_store(arguments.store)) as store:
        fetcher = open_join(join, store)
        at_ms = int(time.time() * 1000) if arguments.at is None else arguments.at
        lines = JoinedLines(STATUS if arguments.status else None)
        for rows in _keys(arguments, fetcher.left_types):
            for row, joined in zip(rows, fetcher.fetch(rows, at_ms), strict=True):
                print(to_json(lines.line(row if arguments.keys else {}, joined)))
            sys.stdout.flush()
        lines.tell()
    return FAILED if lines.failed else DONE


def _line(answer: "Answer", arguments: Namespace) -> dict[str, Any]:
    key = answer.key if arguments.keys else {}
    status = {STATUS: answer.presence} if arguments.status else {}
    return {**key, **answer.values, **status}


class _Remarks:
    """What to say about answers: why keys have nulls, and how far a tile reaches beyond --at."""

    def __init__(self, at_ms: int, now_ms: int) -> None:
        self._at_ms = at_ms
        self._now_ms = now_ms
        self._until_ms = at_ms
        self._first: dict[str, Answer] = {}
        self._number: dict[str, int] = {}

    def add(self, answer: "Answer") -> None:
        """Remember an answer, if there is something to say about it."""
        self._until_ms = max(self._until_ms, answer.until_ms or self._at_ms)
        if answer.presence != "found":
            self._first.setdefault(answer.presence, answer)
            self._number[answer.presence] = self._number.get(answer.presence, 0) + 1

    def tell(self) -> None:
        """Print one line per kind of remark to stderr."""
        for presence, answer in self._first.items():
            more = self._number[presence] - 1
            others = f" (and {more:,} other keys)" if more else ""
            print(f"chronon-beam: {self._why(answer)}{others}", file=sys.stderr)
        if self._at_ms < self._until_ms and self._at_ms < self._now_ms:
            until = moment_text(min(self._until_ms, self._now_ms))
            print(_WHOLE.format(moment_text(self._at_ms), until), file=sys.stderr)

    def _why(self, answer: "Answer") -> str:
        key = to_json(answer.key)
        if answer.last_ms is None:
            return f"the store has nothing of {key}"
        last, at = moment_text(answer.last_ms), moment_text(self._at_ms)
        return (
            f"the store has {key}, but nothing in its windows at {at}: what it has last begins at "
            f"{last}; --at asks for another time"
        )


def _keys(
    arguments: Namespace, columns: Mapping[str, Any]
) -> Iterator[Sequence[Mapping[str, Any]]]:
    """The keys that the user asks for, some hundred at a time."""
    from chronon_beam.fetcher.entity_key import parse_key
    from chronon_beam.pipeline.keys import read_keys

    if arguments.key:
        yield [parse_key(arguments.key, columns)]
    else:
        yield from read_keys(arguments.keys)


COMMAND = Command("read the features of keys", _EXAMPLE, _add_flags, _run, short=True)
