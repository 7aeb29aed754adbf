# Beam says that `|` gives a PValue; each stage says which record it gives.
# pyright: reportAssignmentType=false
"""Verifies a store against its source: recomputes tiles or rows, and reports what differs."""

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from chronon_beam.api.group_by import GroupBy, GroupByError
from chronon_beam.api.load import load_computable
from chronon_beam.api.records import MAX_MS, MIN_MS
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.fetcher.serving_info import ServingInfo, load
from chronon_beam.io.dead_letters.letter import Origin
from chronon_beam.io.dead_letters.sinks import DeadLetters, open_dead_letters, sink_failures
from chronon_beam.io.kv_store import KVStore, open_store
from chronon_beam.io.sources import Source, open_source
from chronon_beam.io.uri import parse_uri
from chronon_beam.pipeline.keys import read_keys
from chronon_beam.pipeline.losses import losses
from chronon_beam.pipeline.max_dead import MaxDead
from chronon_beam.pipeline.options import UsageError
from chronon_beam.pipeline.overlap import Output, inputs_of, outputs_of, refuse_overlap
from chronon_beam.pipeline.prepare import Planned, planned
from chronon_beam.pipeline.reading import RowReading, SourceRows
from chronon_beam.pipeline.run import JobFailed, carry_out, say
from chronon_beam.pipeline.runners.choose import check_runner
from chronon_beam.pipeline.summary import Totals
from chronon_beam.pipeline.verification.compare import (
    SOUND,
    UNTOLD,
    YOUNG,
    Fault,
)
from chronon_beam.pipeline.verification.comparing import Compare, Compared
from chronon_beam.pipeline.verification.scope import Scope
from chronon_beam.transforms.evaluate import columns_read
from chronon_beam.transforms.tiling.settings import Late

_SHOWN = 10
"""How many differences are shown on the screen."""


@dataclass(frozen=True)
class VerifyOptions:
    """The flags of the command.

    Attributes:
        from_ms: see `Scope`.
        to_ms: see `Scope`.
        keys: a file with the keys to verify; None for all.
        report: where all differences are written, one JSON object per line.
        late: what the job does with events that are too late.
    """

    group_by: str
    source: str
    store: str
    dialect: str | None = None
    from_ms: int = MIN_MS
    to_ms: int = MAX_MS
    keys: str | None = None
    report: str | None = None
    late: Late = Late.REPAIR
    dead_letters: str | None = None


@dataclass(frozen=True)
class Verification:
    """What is verified.

    Attributes:
        found: the GroupBy over the source, as a job would have it.
        comparison: compares its rows with the store.
    """

    found: Planned
    comparison: Compare

    @property
    def reading(self) -> RowReading:
        """How events become rows: tiles are compared whole, and when they close does not matter."""
        found, changes = self.found, self.found.changes is not None
        columns = columns_read(found.query, found.changes)
        count = self.comparison.count
        return RowReading(found.serde, columns, found.query, changes, closes=False, count=count)


def build_verification(
    root: beam.Pipeline, job: Verification, source: Source | beam.PTransform, sink: beam.PTransform
) -> beam.PCollection[str]:
    """Read, Decode and Evaluate as the job does, then Compare; gives the lines of a report."""
    read: SourceRows = root | "Rows" >> job.reading.of(source)
    compared: Compared = read.rows | "Compare" >> job.comparison
    sink_failures([*read.failures, compared.failures], sink)
    return compared.lines


@dataclass(frozen=True)
class Verified:
    """What a verification has found.

    Attributes:
        counts: the pipeline's counts, see `compare`.
        excused: kinds of differences that `--late=dead_letter` makes by design.
        first: the first lines of the report.
    """

    counts: Mapping[str, int]
    excused: tuple[Fault, ...] = ()
    first: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether nothing differs that must not."""
        return not any(self.counts.get(kind, 0) for kind in Fault if kind not in self.excused)

    def lines(self, elapsed_s: float) -> Iterator[str]:
        """For people."""
        counts, totals = self.counts, Totals(self.counts)
        compared = counts.get(SOUND, 0) + sum(counts.get(kind, 0) for kind in Fault)
        yield f"{totals.events:,} events and {compared:,} places compared in {elapsed_s:.1f} s"
        numbers = [f"{counts.get(kind, 0):,} {kind.word}" for kind in Fault]
        yield f"  {counts.get(SOUND, 0):,} sound, {', '.join(numbers)}"
        if totals.dead:
            yield f"  {totals.dead:,} events are dead letters, which no tile was expected to have"
        if counts.get(YOUNG):
            yield f"  {counts[YOUNG]:,} of the sound ones lack events of before a column was added"
        if counts.get(UNTOLD):
            yield f"  {counts[UNTOLD]:,} more could not be made of their events"
        if self.excused:
            yield "  missing and stale ones may be without late events, by --late=dead_letter"
        yield from (f"  {line}" for line in self.first)
        yield "the store is sound" if self.sound else "the store differs from its events"


def verify(options: VerifyOptions, runner: str, beam_flags: Sequence[str]) -> Verified:
    """Verify a store, and say on stderr what is found.

    Raises:
        JobFailed: the pipeline failed, input could not be read, or there was nothing to compare.
        GroupByError, QueryError, UsageError, ValueError: as for a job.
    """
    began = time.monotonic()
    check_runner(runner, beam_flags)
    dead_letters = open_dead_letters(options.dead_letters)
    group_by = load_computable(options.group_by, options.dialect)
    uri = bounded_uri(options.source, group_by.name)
    with closing(open_store(options.store)) as store:
        _refuse_overlap(options, store)
        info = _streamed(store, group_by)
        say(f"{group_by.name}: planning the query with Spark")
        job = _verification(planned(group_by, uri, info.plan.layout), info, options, store)
    dead_letters.reach()
    dead_letters.origin = Origin(group_by.name)
    say(f"{group_by.name}: comparing with {options.store}, running on {runner}")
    with tempfile.TemporaryDirectory() as folder:
        report = options.report or (f"{folder}/report" if runner == "DirectRunner" else None)
        build = partial(_build, job=job, sink=dead_letters, report=report)
        counts = carry_out(build, [(group_by.name,)], runner, beam_flags)[group_by.name]
        found = Verified(counts, _excused(options.late), _first(report))
    _check(counts)
    for line in found.lines(time.monotonic() - began):
        say(line)
    return found


def _build(root: beam.Pipeline, job: Verification, sink: DeadLetters, report: str | None) -> object:
    """Apply a verification to a pipeline; its lines go to the file `report`, if there is one."""
    lines = build_verification(root, job, job.found.source, sink)
    if report is not None:
        lines = lines | "Report" >> beam.io.WriteToText(
            report, num_shards=1, shard_name_template=""
        )
    return lines


def _excused(late: Late) -> tuple[Fault, ...]:
    return (Fault.MISSING, Fault.STALE) if late is Late.DEAD_LETTER else ()


def _first(report: str | None) -> tuple[str, ...]:
    """The first lines of the report, if this machine can read it."""
    if report is None or not FileSystems.exists(report):
        return ()
    with FileSystems.open(report) as file:
        lines = (file.readline() for _ in range(_SHOWN))
        return tuple(line.decode().rstrip() for line in lines if line)


def _check(counts: Mapping[str, int]) -> None:
    if found := losses(Totals(counts), MaxDead(), allow_unread=False):
        raise JobFailed("; ".join(found))
    if not any(counts.get(name) for name in (SOUND, UNTOLD, *Fault)):
        raise JobFailed(
            "nothing was compared: neither the events nor the store have a tile or row of these "
            "keys in this time"
        )


def bounded_uri(uri: str, name: str) -> str:
    """The URI of a source that ends: a topic is read from its beginning to what is its end now.

    A consumer group of its own leaves what the job has committed alone.

    >>> bounded_uri("kafka://b:9092/orders?group=job&start=0:5", "t.v1")
    'kafka://b:9092/orders?start=0:5&stop=end&group=chronon-verify-t.v1'

    Raises:
        UsageError: a source that never ends.
    """
    if parse_uri(uri).scheme != "kafka":
        if not open_source(uri).bounded:
            raise UsageError(f"--source={uri}: it never ends: give files, or a Kafka topic")
        return uri
    place, _, query = uri.partition("?")
    given = [each for each in query.split("&") if each and not each.startswith("group=")]
    names = {each.partition("=")[0] for each in given}
    start = [] if "start" in names else ["start=earliest"]
    stop = [] if "stop" in names else ["stop=end"]
    return f"{place}?{'&'.join([*given, *start, *stop, f'group=chronon-verify-{name}'])}"


def _streamed(store: KVStore, group_by: GroupBy) -> ServingInfo:
    info = load(store, group_by)
    if not info.streamed:
        raise GroupByError(
            f"{group_by.name}: the store holds batch values alone, and no tiles or rows that could "
            "be verified"
        )
    return info


def _verification(
    found: Planned, info: ServingInfo, options: VerifyOptions, store: KVStore
) -> Verification:
    plan, made = info.plan, found.plan
    for name, kind in made.types.items():
        if plan.types.get(name, kind) != kind:
            raise GroupByError(
                f"{plan.group_by.name}: column {name!r} is {plan.types[name].name} in the store "
                f"and {kind.name} in the source: say the types of the job with ?schema="
            )
    scope = Scope(options.from_ms, options.to_ms, _keys(options, info, store))
    made = replace(made, layout=plan.layout).checked(info.tiled)
    comparison = Compare(made, info, options.store, scope)
    return Verification(replace(found, plan=made), comparison)


def _keys(options: VerifyOptions, info: ServingInfo, store: KVStore) -> frozenset[bytes] | None:
    if options.keys is None:
        return None
    fetcher = Fetcher.of(info, store)
    return frozenset(fetcher.key_bytes(key) for keys in read_keys(options.keys) for key in keys)


def _refuse_overlap(options: VerifyOptions, store: KVStore) -> None:
    """The report must not be written over what is read."""
    outputs = outputs_of(options.store, store, options.dead_letters)
    if options.report is not None:
        if not Path(options.report).resolve().parent.is_dir() and "://" not in options.report:
            raise UsageError(f"--report={options.report}: there is no such folder: make it first")
        outputs.append(Output(f"--report={options.report}", [options.report]))
    refuse_overlap(inputs_of(options.group_by, options.source), outputs)
