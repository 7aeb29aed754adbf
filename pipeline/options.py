"""Every flag of the job once: for the command line, its help, and Beam's own option parsing."""

import argparse
import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from chronon_beam.aggregator.layout import LAYOUTS
from chronon_beam.api.dialect import DIALECTS
from chronon_beam.transforms.tiling.triggers import Trigger, parse_trigger


class UsageError(ValueError):
    """A command that is used wrongly: exit code 2, with cause and remedy."""


@dataclass(frozen=True)
class JobOptions:
    """What a job is told; the fields are the flags."""

    group_by: str
    source: str
    store: str
    dead_letters: str | None = None
    dialect: str | None = None
    tiling: str = "tiled"
    layout: str = "tumbling"
    trigger: Trigger = Trigger()
    allowed_lateness_ms: int = 0
    late: str = "repair"
    shards: int | None = None


def add_group_by(parser: argparse.ArgumentParser) -> None:
    """Flags that say which GroupBy."""
    parser.add_argument(
        "--group_by",
        required=True,
        metavar="FILE",
        help="compiled GroupBy (Thrift JSON), or a Python file that declares one (FILE:VARIABLE)",
    )
    parser.add_argument(
        "--dialect",
        choices=sorted(DIALECTS),
        help="which Chronon compiled it; the two give some ids another meaning (default: airbnb)",
    )


def add_source(parser: argparse.ArgumentParser, required: bool) -> None:
    """The flag that says where events come from."""
    parser.add_argument(
        "--source",
        required=required,
        metavar="URI",
        help="where events come from, for example 'file:events/*.jsonl.gz' or "
        "'file:events.jsonl?schema=customer_id STRING, created BIGINT'",
    )


def add_store(parser: argparse.ArgumentParser) -> None:
    """The flag that says where tiles are kept."""
    parser.add_argument(
        "--store",
        required=True,
        metavar="URI",
        help="where tiles are kept, for example sqlite:features.db or bigtable://project/instance",
    )


def add_tiling(parser: argparse.ArgumentParser) -> None:
    """Flags that say what is written, and when."""
    parser.add_argument(
        "--tiling",
        choices=("tiled", "untiled"),
        default="tiled",
        help="tiled: pre-aggregates; untiled: the rows as they are (default: tiled)",
    )
    parser.add_argument(
        "--layout",
        choices=LAYOUTS,
        default="tumbling",
        help="tumbling: Chronon's tiles, merged at reading; sliding: one tile a read, many writes "
        "an event (default: tumbling)",
    )
    parser.add_argument(
        "--trigger",
        default="every_event",
        help="every_event, or buffered:100ms for at most one write a tile in that time "
        "(default: every_event)",
    )
    parser.add_argument(
        "--allowed_lateness_ms",
        type=int,
        default=0,
        metavar="MS",
        help="how long after its end a tile still takes events (default: 0)",
    )
    parser.add_argument(
        "--late",
        choices=("repair", "dead_letter"),
        default="repair",
        help="what becomes of events later than that: merged into the stored tile, or "
        "dead-lettered (default: repair)",
    )
    parser.add_argument(
        "--shards",
        type=int,
        metavar="N",
        help="parts that keys are split into, about 2 a worker thread; fixed for the life of a "
        "job's state (default: 4, and 1 on DirectRunner, which has one thread)",
    )


def add_dead_letters(parser: argparse.ArgumentParser) -> None:
    """The flag that says where bad events go."""
    parser.add_argument(
        "--dead_letters",
        metavar="URI",
        help="where events that cannot be used go, one JSON object a line, for example "
        "file:dead.jsonl (default: counted and logged)",
    )


def add_day(parser: argparse.ArgumentParser) -> None:
    """The flag that says where a batch ends."""
    parser.add_argument(
        "--ds",
        "--end_date",
        required=True,
        metavar="YYYY-MM-DD",
        help="the last day that is in the values, in UTC",
    )


def add_runner(parser: argparse.ArgumentParser) -> None:
    """Flags that say where a job runs."""
    parser.add_argument(
        "--runner", default="DirectRunner", help="Beam runner (default: DirectRunner)"
    )
    parser.add_argument(
        "--runner_config",
        metavar="NAME_OR_PATH",
        help="flags from a YAML file: direct, prism, flink_local, flink_cluster or a path; "
        "what is given here wins",
    )


def job_options(arguments: argparse.Namespace) -> JobOptions:
    """The flags, checked.

    Raises:
        UsageError: a value that makes no sense.
    """
    try:
        trigger = parse_trigger(arguments.trigger)
    except ValueError as error:
        raise UsageError(f"--trigger: {error}") from error
    if arguments.shards is not None and not 1 <= arguments.shards <= 4096:
        raise UsageError(f"--shards={arguments.shards}: 1 to 4096 is expected")
    if arguments.allowed_lateness_ms < 0:
        given = arguments.allowed_lateness_ms
        raise UsageError(f"--allowed_lateness_ms={given}: must not be negative")
    known = {name: getattr(arguments, name) for name in JobOptions.__dataclass_fields__}
    return JobOptions(**{**known, "trigger": trigger})


def nearest(flag: str, known: Sequence[str]) -> str | None:
    """The flag of `known` that `flag` was probably meant to be.

    >>> nearest("--stroe", ["--store", "--source"])
    '--store'
    """
    return next(iter(difflib.get_close_matches(flag, known, n=1, cutoff=0.75)), None)


def check_flags(unknown: Sequence[str], known: Sequence[str]) -> None:
    """Refuse flags that nobody knows, and name the nearest one that exists.

    Args:
        unknown: what argparse left over; flags that Beam knows are among them.
        known: all flags, Beam's too.

    Raises:
        UsageError: the first flag that is not in `known`.
    """
    for word in unknown:
        flag = word.split("=", 1)[0]
        if not flag.startswith("--"):
            continue
        if flag not in known:
            near = nearest(flag, known)
            hint = f": did you mean {near}?" if near else ": see --help"
            raise UsageError(f"unknown flag {flag}{hint}")
