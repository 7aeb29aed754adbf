"""Declares every flag of the job once, for the command line, its help and Beam's option parsing."""

import argparse
import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field

from chronon_beam.aggregator.layout import LAYOUTS
from chronon_beam.api.dialect import DIALECTS
from chronon_beam.io.live import LiveSettings
from chronon_beam.pipeline.max_dead import MaxDead, parse_max_dead
from chronon_beam.pipeline.once import Once
from chronon_beam.pipeline.runners.latency import DEFAULT, LEVELS, Latency, parse_latency
from chronon_beam.transforms.tiling.settings import Late, Tiling
from chronon_beam.transforms.tiling.triggers import Trigger, parse_trigger

EXISTING = ("merge", "replace", "refuse")
"""What may be done about what earlier runs have left in the store."""


class UsageError(ValueError):
    """A command that is used wrongly: exit code 2, with cause and remedy."""


@dataclass(frozen=True)
class JobOptions:
    """The values of a job's flags.

    Attributes:
        source: where events come from; None means the topic of the GroupBy.
        kafka_bootstrap: the brokers of that topic.
        live: what the job says of time to a source that never ends.
        latency: how long events of such a source may wait.
        tiling: how tiles are made; None stores the rows as they are.
        max_dead: how many dead letters the job may have before it has failed.
        allow_unread: whether input may be left unread.
        existing: what to do about what earlier runs have written, one of `EXISTING`; None means
            to merge files, and to refuse what may count events twice.
    """

    group_by: str
    source: str | None
    store: str
    dead_letters: str | None = None
    dialect: str | None = None
    layout: str = "tumbling"
    tiling: Tiling | None = field(default_factory=Tiling)
    kafka_bootstrap: str | None = None
    live: LiveSettings = field(default_factory=LiveSettings)
    latency: Latency = LEVELS[DEFAULT]
    max_dead: MaxDead = MaxDead()
    allow_unread: bool = False
    existing: str | None = None


Flags = argparse._ArgumentGroup
"""Flags that have one title in the help."""


def _flags(parser: argparse.ArgumentParser, title: str) -> Flags:
    """The part of a command's help that has this title; made if it is new."""
    titled = [part for part in parser._action_groups if part.title == title]
    return titled[0] if titled else parser.add_argument_group(title)


def add_group_by(parser: argparse.ArgumentParser, several: bool = False) -> None:
    """Flags that say which GroupBy; if it may be `several`, the value is a list."""
    flags = _flags(parser, "GroupBy")
    flags.add_argument(
        "--group_by",
        required=True,
        metavar="FILE",
        action="append" if several else Once,
        help="compiled GroupBy (Thrift JSON), or a Python file that declares one (FILE:VARIABLE)"
        + ("; repeat it for several in one job" if several else ""),
    )
    add_dialect(parser)


def add_dialect(parser: argparse.ArgumentParser) -> None:
    """The flag that says whose Chronon a GroupBy is written for."""
    flags = _flags(parser, "GroupBy")
    flags.add_argument(
        "--dialect",
        choices=sorted(DIALECTS),
        help="which Chronon compiled it; the two give some ids another meaning (default: airbnb)",
    )


def add_source(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """The flag that says where events come from."""
    flags = _flags(parser, "events")
    flags.add_argument(
        "--source",
        required=required,
        metavar="URI",
        help="where events come from, for example 'file:events/*.jsonl.gz', "
        "'file:events.jsonl?schema=customer_id STRING, created BIGINT' or "
        "'kafka://broker:9092/topic?schema=...'",
    )


def add_live(parser: argparse.ArgumentParser) -> None:
    """Flags for events that never end; their defaults are those of `LiveSettings`."""
    flags = _flags(parser, "events that never end")
    flags.add_argument(
        "--kafka_bootstrap",
        metavar="HOST:PORT",
        help="the brokers of the GroupBy's own topic, which is read where --source is not given",
    )
    _add_times(flags, LiveSettings())
    flags.add_argument(
        "--latency",
        type=_latency,
        default=DEFAULT,
        metavar="LEVEL|MS",
        help=f"how soon an event is stored, against how much CPU that costs: {', '.join(LEVELS)}, "
        "or the time that half of the events are to take, for example 100ms (default: %(default)s)",
    )


def _latency(text: str) -> Latency:
    try:
        return parse_latency(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _add_times(flags: Flags, default: LiveSettings) -> None:
    flags.add_argument(
        "--max_out_of_orderness_ms",
        type=int,
        default=default.disorder_ms,
        metavar="MS",
        help="how far events of a partition may be out of order before they are late "
        "(default: %(default)s)",
    )
    flags.add_argument(
        "--idle_ms",
        type=int,
        default=default.idle_ms,
        metavar="MS",
        help="after how long without events a partition no longer holds back the closing of tiles "
        "(default: %(default)s)",
    )


def add_store(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """The flag that says where tiles are kept."""
    flags = _flags(parser, "store")
    flags.add_argument(
        "--store",
        required=required,
        metavar="URI",
        help="where tiles are kept, for example sqlite:features.db or bigtable://project/instance",
    )


def add_existing(parser: argparse.ArgumentParser) -> None:
    """The flag that says what is done about what earlier runs have left."""
    flags = _flags(parser, "store")
    flags.add_argument(
        "--existing",
        choices=EXISTING,
        help="what earlier runs have left in the store: merge adds what is new to it, replace "
        "empties it first, refuse ends with an error (default: merge for files, whose events are "
        "counted once; what may count events twice is refused, live jobs for one)",
    )


def add_ended(parser: argparse.ArgumentParser) -> None:
    """The flag that says that live jobs will not overwrite what is added to their tiles."""
    parser.add_argument(
        "--existing",
        choices=("merge",),
        help="merge: live jobs of this store have ended for good, so letters may be added to any "
        "of their tiles (default: only to tiles that are closed)",
    )


def add_tiling(parser: argparse.ArgumentParser) -> None:
    """Flags that say what is written, and when; their defaults are those of `Tiling`."""
    _add_kind(parser)
    _add_writes(parser, Tiling())
    _add_lateness(parser, Tiling())


def _add_kind(parser: argparse.ArgumentParser) -> None:
    flags = _flags(parser, "tiles")
    flags.add_argument(
        "--tiling",
        choices=("tiled", "untiled"),
        default="tiled",
        help="tiled: pre-aggregates; untiled: the rows as they are (default: tiled)",
    )
    flags.add_argument(
        "--layout",
        choices=LAYOUTS,
        default="tumbling",
        help="tumbling: Chronon's tiles, merged at reading; sliding: one tile per read, many "
        "writes per event (default: tumbling)",
    )


def _add_writes(parser: argparse.ArgumentParser, default: Tiling) -> None:
    flags = _flags(parser, "tiles")
    flags.add_argument(
        "--trigger",
        metavar="every_event|buffered:TIME",
        default=str(default.trigger),
        help="when a tile is written: for every event, or with buffered:100ms at most once in that "
        "time (default: %(default)s)",
    )
    flags.add_argument(
        "--shards",
        type=int,
        metavar="N",
        help="parts that keys are split into, about 2 per worker thread; fixed for the life of a "
        f"job's state (default: {default.shards}, and 1 on DirectRunner, which has one thread)",
    )


def _add_lateness(parser: argparse.ArgumentParser, default: Tiling) -> None:
    flags = _flags(parser, "tiles")
    flags.add_argument(
        "--allowed_lateness_ms",
        type=int,
        default=default.lateness_ms,
        metavar="MS",
        help="how long after its end a tile still takes events (default: %(default)s)",
    )
    flags.add_argument(
        "--late",
        choices=[choice.value for choice in Late],
        default=default.late.value,
        help="what becomes of events later than that: merged into the stored tile, or "
        "dead-lettered (default: %(default)s)",
    )


def add_dead_letters(parser: argparse.ArgumentParser) -> None:
    """The flag that says where bad events go."""
    flags = _flags(parser, "events that cannot be used")
    flags.add_argument(
        "--dead_letters",
        metavar="URI",
        help="where events that cannot be used go, for example file:dead.jsonl (JSON lines), "
        "sqlite:dead.db or kafka://broker:9092/dead (default: counted and logged)",
    )


def add_losses(parser: argparse.ArgumentParser) -> None:
    """Flags that say how much may be lost before a job counts as failed."""
    flags = _flags(parser, "events that cannot be used")
    flags.add_argument(
        "--max_dead",
        type=_max_dead,
        default=MaxDead(),
        metavar="N|P%",
        help="how many events, or how much of them, may be dead letters before the job has failed "
        "(default: 50 %% of 100 or more events)",
    )
    flags.add_argument(
        "--allow_unread",
        action="store_true",
        help="take what could be read where a file is damaged (default: what was read counts, but "
        "the job has failed; an upload leaves readers with the batch that they have)",
    )


def _max_dead(text: str) -> MaxDead:
    try:
        return parse_max_dead(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_day(parser: argparse.ArgumentParser) -> None:
    """The flag that says where a batch ends."""
    flags = _flags(parser, "events")
    flags.add_argument(
        "--ds",
        "--end_date",
        required=True,
        metavar="YYYY-MM-DD",
        help="the last day that is in the values, in UTC",
    )


def add_runner(parser: argparse.ArgumentParser) -> None:
    """Flags that say where a job runs."""
    flags = _flags(parser, "where the job runs")
    flags.add_argument(
        "--runner", default="DirectRunner", help="Beam runner (default: DirectRunner)"
    )
    flags.add_argument(
        "--runner_config",
        metavar="NAME_OR_PATH",
        help="flags from a YAML file: direct, prism, flink_local, flink_cluster or a path; "
        "what is given here wins",
    )


def job_options(arguments: argparse.Namespace) -> JobOptions:
    """The values of the flags.

    Raises:
        UsageError: a value makes no sense.
    """
    tiling = _tiling(arguments)
    return JobOptions(
        group_by=arguments.group_by,
        source=arguments.source,
        store=arguments.store,
        dead_letters=arguments.dead_letters,
        dialect=arguments.dialect,
        layout=arguments.layout,
        tiling=tiling if arguments.tiling == "tiled" else None,
        kafka_bootstrap=arguments.kafka_bootstrap,
        live=_live(arguments),
        max_dead=arguments.max_dead,
        allow_unread=arguments.allow_unread,
        latency=arguments.latency,
        existing=arguments.existing,
    )


def _live(arguments: argparse.Namespace) -> LiveSettings:
    for flag in ("max_out_of_orderness_ms", "idle_ms"):
        if getattr(arguments, flag) < 0:
            raise UsageError(f"--{flag}={getattr(arguments, flag)}: must not be negative")
    if arguments.source is not None and arguments.kafka_bootstrap is not None:
        raise UsageError(
            "--kafka_bootstrap: --source says where its brokers are: give one of the two"
        )
    return LiveSettings(
        disorder_ms=arguments.max_out_of_orderness_ms,
        idle_ms=arguments.idle_ms,
        linger_ms=arguments.latency.linger_ms,
    )


def _tiling(arguments: argparse.Namespace) -> Tiling:
    if arguments.allowed_lateness_ms < 0:
        given = arguments.allowed_lateness_ms
        raise UsageError(f"--allowed_lateness_ms={given}: must not be negative")
    return Tiling(
        _trigger(arguments.trigger),
        arguments.allowed_lateness_ms,
        Late(arguments.late),
        _shards(arguments.shards, arguments.runner),
    )


def _trigger(text: str) -> Trigger:
    try:
        return parse_trigger(text)
    except ValueError as error:
        raise UsageError(f"--trigger: {error}") from error


def _shards(given: int | None, runner: str) -> int:
    if given is None:
        return 1 if runner == "DirectRunner" else Tiling.shards
    if not 1 <= given <= 4096:
        raise UsageError(f"--shards={given}: 1 to 4096 is expected")
    return given


def nearest(flag: str, known: Sequence[str]) -> str | None:
    """The flag of `known` that `flag` was probably meant to be.

    >>> nearest("--stroe", ["--store", "--source"])
    '--store'
    """
    return next(iter(difflib.get_close_matches(flag, known, n=1, cutoff=0.75)), None)


def check_flags(unknown: Sequence[str], known: Sequence[str]) -> None:
    """Refuse flags that do not exist, and name the nearest one that does.

    Args:
        unknown: the flags that argparse does not know; Beam may know some of them.
        known: all flags, also those of Beam.

    Raises:
        UsageError: a flag is not in `known`; the message names the first.
    """
    for word in unknown:
        flag = word.split("=", 1)[0]
        if not flag.startswith("--"):
            continue
        if flag not in known:
            near = nearest(flag, known)
            hint = f": did you mean {near}?" if near else ": see --help"
            raise UsageError(f"unknown flag {flag}{hint}")
