"""`chronon-beam init`: writes a first GroupBy for a file of events."""

import re
import sys
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from chronon_beam.pipeline import options as flags
from chronon_beam.pipeline.command import DONE, Command

if TYPE_CHECKING:
    from chronon_beam.pipeline.drafting.draft import Draft

_EXAMPLE = """example:
  chronon-beam init examples/flights/flights.jsonl.gz --output flights.py

Looks at the first events, guesses key, time and what to aggregate, says why, and writes a GroupBy
that runs as it is."""

_HOUR_MS = 3_600_000


def _add_flags(parser: ArgumentParser) -> None:
    parser.add_argument(
        "file",
        metavar="FILE",
        help="events: a path, or a URI as --source of `run` takes it",
    )
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a key column; repeat it for a key of several columns (default: guessed)",
    )
    parser.add_argument(
        "--time",
        metavar="COLUMN_OR_SQL",
        help="the time of an event: a column, or Spark SQL for milliseconds (default: guessed)",
    )
    parser.add_argument(
        "--output", metavar="FILE.py", help="what to write (default: named like the events' file)"
    )


def _run(arguments: Namespace, _: list[str]) -> int:
    from chronon_beam.pipeline.drafting.draft import draft
    from chronon_beam.pipeline.drafting.names import identifier
    from chronon_beam.pipeline.drafting.page import as_python
    from chronon_beam.pipeline.drafting.sample import first_events

    source = _source(arguments.file)
    stem = Path(source.partition("?")[0].partition(":")[2]).name.partition(".")[0]
    output = Path(arguments.output or f"{identifier(stem)}.py")
    _refuse_bad_output(output)
    made = draft(first_events(source), output.stem, arguments.key, arguments.time)
    output.write_text(as_python(made, source), encoding="utf-8")
    print(_report(made, output, source), file=sys.stderr)
    return DONE


def _source(file: str) -> str:
    """The URI of a file; the first line of a CSV file is taken for the columns' names."""
    uri = file if ":" in file else f"file:{file}"
    is_csv = re.search(r"\.csv(\.\w+)?$", uri, re.IGNORECASE)
    return f"{uri}?header=true" if is_csv else uri


def _refuse_bad_output(output: Path) -> None:
    if output.suffix != ".py":
        raise flags.UsageError(f"--output={output}: a GroupBy's file ends in .py")
    if output.exists():
        raise flags.UsageError(f"{output} is there already: name another file with --output")


def _report(made: "Draft", output: Path, source: str) -> str:
    remarks = [f"  {name}: {what}" for name, _, what in made.remarks]
    group_by, from_source = f"--group_by {quote(str(output))}", f"--source {quote(source)}"
    keys = " ".join(f"--key {quote(f'{name}={value}')}" for name, value in made.example.items())
    return "\n".join(
        [
            f"{output}: a GroupBy by {', '.join(made.keys)}, time {made.time.expression}",
            *remarks,
            "Look into it, change it, and run it:",
            f"  chronon-beam run {group_by} {from_source} --store sqlite:features.db",
            f"  chronon-beam fetch {group_by} --store sqlite:features.db {keys}{_at(made)}",
        ]
    )


def _at(made: "Draft") -> str:
    """The first full hour after the last event: what is fetched there is exact."""
    latest_ms = made.time.latest_ms
    if latest_ms is None:
        return ""
    hour_ms = (latest_ms // _HOUR_MS + 1) * _HOUR_MS
    moment = datetime.fromtimestamp(hour_ms / 1000, UTC)
    return f" --at {moment:%Y-%m-%dT%H:%M:%SZ}"


COMMAND = Command(
    "write a first GroupBy for a file of events", _EXAMPLE, _add_flags, _run, short=True
)
