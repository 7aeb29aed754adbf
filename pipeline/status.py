"""What `chronon-beam status` says: each GroupBy of a store, how much there is of it, how fresh."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from chronon_beam.api.group_by import Accuracy, GroupBy
from chronon_beam.api.time_text import moment_text
from chronon_beam.fetcher.batch_info import BatchInfo
from chronon_beam.fetcher.catalog import CatalogEntry, catalog
from chronon_beam.fetcher.serving_info import ServingInfo, StoredInfo
from chronon_beam.io.kv_store import KVStore
from chronon_beam.pipeline.describe import duration
from chronon_beam.pipeline.jobs.table import duration_text

_WIDTH = 80


@dataclass(frozen=True)
class StreamStatus:
    """The tiles or rows of a GroupBy.

    Attributes:
        tile_sizes_ms: lengths of its tiles; empty for rows.
        versions: how many versions there are of its tiles; 0 for rows.
        values: the number of tiles or rows; at least so many where `exact` is false.
        keys: the number of their keys.
        newest_ms: when the newest tile begins, or the time of the newest row.
        age_ms: how long ago that was.
    """

    dataset: str
    tiling: str
    layout: str
    tile_sizes_ms: list[int]
    versions: int
    values: int
    keys: int
    exact: bool
    newest_ms: int | None
    age_ms: int | None


@dataclass(frozen=True)
class BatchStatus:
    """The batch values of a GroupBy.

    Attributes:
        end_ms: the end of the batch, which is not in it.
        upload: the number of the upload, from 0 on.
        keys: the number of values; at least so many where `exact` is false.
    """

    dataset: str
    end_ms: int
    upload: int
    keys: int
    exact: bool


@dataclass(frozen=True)
class GroupByStatus:
    """A GroupBy of a store; fields that are not known are None or empty.

    Attributes:
        kind: `events` or `entities`.
        key: the types of the key's columns.
        features: the types of the features, before derivations.
        derived: the names of what is derived from them.
        reason: why it cannot be served; empty if it can.
    """

    group_by: str
    kind: str | None = None
    accuracy: str | None = None
    dialect: str | None = None
    key: Mapping[str, str] = field(default_factory=dict)
    features: Mapping[str, str] = field(default_factory=dict)
    derived: list[str] = field(default_factory=list)
    windows: list[str] = field(default_factory=list)
    stream: StreamStatus | None = None
    batch: BatchStatus | None = None
    reason: str = ""


def statuses(store: KVStore, declared: Iterable[GroupBy], now_ms: int) -> Iterator[GroupByStatus]:
    """Each GroupBy of the store, or those that are declared; raises as `catalog` does."""
    given = {each.name for each in declared}
    for name, entry in catalog(store, declared).items():
        if not given or name in given:
            yield _status(store, entry, now_ms)


def _status(store: KVStore, entry: CatalogEntry, now_ms: int) -> GroupByStatus:
    if entry.info is None:
        return _unserved(store, entry, now_ms)
    info, group_by = entry.info, entry.info.plan.group_by
    columns = info.plan.aggregator.columns
    return GroupByStatus(
        entry.name,
        group_by.source.kind,
        (group_by.accuracy or Accuracy.TEMPORAL).name,
        group_by.dialect.name,
        {name: kind.name for name, kind in info.plan.keys.columns.items()},
        {
            each.name: columns[each.tile_index].operation.output_type.name
            for each in group_by.features
        },
        [each.name for each in group_by.derivations],
        [window.suffix[1:] for window in group_by.windows],
        _stream_of(store, info, now_ms) if info.streamed else None,
        None if info.batch is None else _batch(store, info.batch),
    )


def _unserved(store: KVStore, entry: CatalogEntry, now_ms: int) -> GroupByStatus:
    """What a job has noted of a GroupBy whose declaration cannot be read."""
    try:
        noted = entry.notes.stream and StoredInfo.from_bytes(entry.notes.stream)
    except (ValueError, TypeError, LookupError, AttributeError):
        noted = None
    if not noted:
        return GroupByStatus(entry.name, reason=entry.reason)
    dataset = GroupBy(entry.name, (), (), ()).streaming_dataset
    stream = _stream(
        store,
        dataset,
        noted.tiling,
        noted.layout,
        noted.tile_sizes_ms,
        len(noted.versions),
        now_ms,
    )
    return GroupByStatus(
        entry.name, noted.kind, dialect=noted.dialect, stream=stream, reason=entry.reason
    )


def _stream_of(store: KVStore, info: ServingInfo, now_ms: int) -> StreamStatus:
    plan = info.plan
    return _stream(
        store,
        plan.group_by.streaming_dataset,
        "tiled" if info.tiled else "untiled",
        plan.layout,
        [spec.size_ms for spec in plan.specs] if info.tiled else [],
        len(info.versions),
        now_ms,
    )


def _stream(
    store: KVStore,
    dataset: str,
    tiling: str,
    layout: str,
    sizes_ms: list[int],
    versions: int,
    now_ms: int,
) -> StreamStatus:
    held = store.held(dataset)
    return StreamStatus(
        dataset,
        tiling,
        layout,
        sizes_ms,
        versions,
        values=held.values,
        keys=held.keys,
        exact=held.exact,
        newest_ms=held.newest_ms,
        age_ms=None if held.newest_ms is None else now_ms - held.newest_ms,
    )


def _batch(store: KVStore, batch: BatchInfo) -> BatchStatus:
    dataset, at_ms = batch.plan.group_by.batch_dataset, batch.values_ms
    held = store.held(dataset, at_ms, at_ms + 1)
    keys = max(held.keys - 1, 0)  # one is the note for Chronon's Fetcher
    return BatchStatus(dataset, batch.end_ms, batch.upload, keys, held.exact)


def as_text(status: GroupByStatus) -> str:
    """For people, at most 80 columns wide where words allow it."""
    lines = [status.group_by, *_line("", ", ".join(_kinds(status)))]
    lines += _line("key", _typed(status.key))
    lines += _line("features", _typed(status.features))
    lines += _line("derived", ", ".join(status.derived))
    lines += _line("windows", ", ".join(status.windows))
    if status.stream is not None:
        lines += _line("stream", _stream_text(status.stream))
    if status.batch is not None:
        end, keys = moment_text(status.batch.end_ms), _number(status.batch.keys, status.batch.exact)
        lines += _line("batch", f"up to {end}, {keys} keys")
    lines += _line("problem", status.reason)
    return "\n".join(lines)


def _line(title: str, text: str) -> list[str]:
    """A titled text, over several lines if it is long; nothing of an empty text."""
    if not text:
        return []
    first = f"  {title:<10}" if title else "  "
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=" " * 12,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _kinds(status: GroupByStatus) -> Iterator[str]:
    yield from filter(None, (status.kind, status.accuracy))
    if status.dialect is not None:
        yield f"dialect {status.dialect}"


def _typed(types: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in types.items())


def _number(number: int, exact: bool) -> str:
    return f"{number:,}" if exact else f"at least {number:,}"


def _stream_text(stream: StreamStatus) -> str:
    name = "tiles" if stream.tile_sizes_ms else "rows"
    sizes = " and ".join(map(duration, stream.tile_sizes_ms))
    form = f"{stream.layout} tiles of {sizes}" if sizes else "untiled"
    form += f" in {stream.versions} versions" if stream.versions > 1 else ""
    values, keys = _number(stream.values, stream.exact), _number(stream.keys, stream.exact)
    text = f"{form}: {values} {name} of {keys} keys"
    if stream.newest_ms is None or stream.age_ms is None:
        return text
    begins = "begins" if stream.tile_sizes_ms else "is of"
    newest = f"the newest {begins} {moment_text(stream.newest_ms)}"
    ago = f"{duration_text(stream.age_ms)} ago" if stream.age_ms >= 0 else "in the future"
    return f"{text}; {newest}, {ago}{'' if stream.exact else ', of those that were counted'}"
