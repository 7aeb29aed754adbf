"""Writes jobs for people: a table of many, a page about one."""

import time
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from chronon_beam.api.counts import Metric
from chronon_beam.pipeline.jobs.status import CheckpointState, JobStatus, Summary
from chronon_beam.pipeline.json_lines import to_json
from chronon_beam.pipeline.progress import numbers_of

_HEAD = ("JOB", "STATE", "UP", "RESTARTS", "PARALLELISM", "GROUPBYS", "ID")
_SHORT_ID = 8


def json_lines(found: Sequence[Summary | JobStatus]) -> str:
    """One JSON object per line; docs/jobs.md has the fields."""
    return "\n".join(to_json(msgspec.to_builtins(each)) for each in found)


def result(as_json: bool, text: str, **fields: str) -> str:
    """What a command prints of what it has done: `text`, or the fields as JSON."""
    return to_json(fields) if as_json else text


def table(jobs: Sequence[Summary]) -> str:
    """One line per job, under a head."""
    lines = [_HEAD, *map(_cells, jobs)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _cells(job: Summary) -> tuple[str, ...]:
    return (
        job.name,
        state_text(job),
        duration_text(job.uptime_ms),
        "-" if job.restarts is None else str(job.restarts),
        str(job.parallelism),
        ", ".join(job.group_bys) or "-",
        job.id[:_SHORT_ID],
    )


def state_text(job: Summary) -> str:
    """The state, and whether tasks have no slot."""
    return f"{job.state}, {job.waiting} tasks without a slot" if job.waiting else job.state


def page(status: JobStatus) -> str:
    """Everything about one job, a line per subject."""
    job = status.job
    lines = [f"{job.name}  {state_text(job)}  {job.id}"]
    lines += [f"  {subject:<12}{text}" for subject, text in _subjects(status)]
    return "\n".join(lines)


def _subjects(status: JobStatus) -> Iterator[tuple[str, str]]:
    job = status.job
    restarts = "" if job.restarts is None else f", {job.restarts} restarts"
    yield "up", f"{duration_text(job.uptime_ms)}{restarts}, parallelism {job.parallelism}"
    yield from _checkpoints(status.checkpoints)
    if status.restored_from:
        yield "restored", status.restored_from
    for group_by in job.group_bys:
        yield "GroupBy", group_by
        yield from _measured(status.metrics.get(group_by, {}))
    if status.failure:
        yield "has failed", f"{_ago(status.failure.at_ms)}: {status.failure.reason}"


_LAGS = (
    (Metric.READ_LAG, "{:,} records"),
    (Metric.EVENT_TIME_LAG, "events {}"),
    (Metric.WATERMARK_LAG, "watermark {}"),
)


def _measured(numbers: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """What the steps of a GroupBy have measured; what they have not is left out."""
    if not numbers:
        return
    counted = numbers_of(numbers)
    yield "counts", ", ".join(f"{number:,} {name}" for name, number in counted.items())
    lags = [
        text.format(duration_text(numbers[name]) if name.endswith("_ms") else numbers[name])
        for name, text in _LAGS
        if name in numbers
    ]
    if lags:
        yield "lag", ", ".join(lags)
    if Metric.FRESHNESS in numbers:
        yield "freshness", duration_text(numbers[Metric.FRESHNESS])


def _checkpoints(state: CheckpointState) -> Iterator[tuple[str, str]]:
    if not state.completed and not state.failed and not state.in_progress:
        yield "checkpoints", "none"
        return
    yield "checkpoints", f"{state.completed:,} completed, {state.failed:,} failed"
    if last := state.last:
        kind = "savepoint" if last.is_savepoint else "checkpoint"
        took = f"{bytes_text(last.bytes)} in {duration_text(last.duration_ms)}"
        yield "", f"last {kind} {last.number}, {_ago(last.at_ms)}: {took}"
        yield "", f"at {last.path or 'a place that only Flink knows'}"
    if state.failure and state.failed_ms:
        yield "", f"last failed {_ago(state.failed_ms)}: {state.failure}"


def _ago(at_ms: int) -> str:
    return f"{duration_text(max(int(time.time() * 1000) - at_ms, 0))} ago"


def duration_text(ms: int) -> str:
    """A duration by its two largest units.

    >>> duration_text(340), duration_text(61_000), duration_text(90_000_000)
    ('340 ms', '1 min 1 s', '1 d 1 h')
    """
    if ms < 1000:
        return f"{ms} ms"
    parts = []
    for unit, size_ms in _UNITS:
        number, ms = divmod(ms, size_ms)
        if number:
            parts.append(f"{number} {unit}")
    return " ".join(parts[:2])


_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000))


def bytes_text(number: int) -> str:
    """A size by a unit in which it has one to four digits before the point.

    >>> bytes_text(900), bytes_text(1_300_000)
    ('900 B', '1.2 MiB')
    """
    size = float(number)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
