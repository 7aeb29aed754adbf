"""What the store holds for a key at a time: the answers to one fetch, decoded, and repair notes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from chronon_beam.aggregator.batch_ir import FinalBatchIr
from chronon_beam.aggregator.layout import TileSpec
from chronon_beam.aggregator.repair_note import NOTES_DATASET, RepairNote
from chronon_beam.aggregator.row import Accumulator
from chronon_beam.aggregator.sawtooth import NO_BATCH, Batch
from chronon_beam.api.records import GetRequest, TimedValue
from chronon_beam.fetcher.entity_key import Key
from chronon_beam.fetcher.fetch import Features, Fetcher, Reading
from chronon_beam.fetcher.presence import last_times
from chronon_beam.fetcher.rows import reason_of


class StoreFailure(Exception):
    """A store that cannot be read, with the reason that its client gives."""


@contextmanager
def reading_store() -> Iterator[None]:
    """A client of a store has errors of its own: whatever is raised inside is a StoreFailure."""
    try:
        yield
    except Exception as error:
        raise StoreFailure(reason_of(error)) from error


class ReadTile(NamedTuple):
    """One tile as it is stored.

    Attributes:
        accumulator: one IR per column of a tile.
        size_bytes: of the stored value.
        note: the note on late events that were merged into the tile; None without a note.
        is_corrected: whether the job has written the whole tile again, with late events, after it
            had closed.
    """

    spec: TileSpec
    start_ms: int
    accumulator: Accumulator
    is_complete: bool
    size_bytes: int
    note: RepairNote | None = None
    is_corrected: bool = False

    @property
    def end_ms(self) -> int:
        """The end of the tile, which is not in it."""
        return self.start_ms + self.spec.size_ms


class ReadRow(NamedTuple):
    """One row as it is stored by an untiled job.

    Attributes:
        changed_ms: the time of the row; for an entity, the time of the change that made the row.
        ts_ms: the time of the row itself.
        values: of the columns `Plan.row_columns`, in their order.
        size_bytes: of the stored value.
    """

    changed_ms: int
    ts_ms: int
    values: tuple[object, ...]
    size_bytes: int


@dataclass(frozen=True)
class Evidence:
    """What one fetch of one key reads.

    Attributes:
        fetcher: reads the GroupBy.
        reading: the requests of the fetch.
        found: the answers to these requests.
        tiles: in order of their starts; empty if the store holds rows.
        rows: in order of their times; empty if the store holds tiles.
        batch: the batch values with their end; `NO_BATCH` without an upload, or for values of
            accuracy SNAPSHOT.
        batch_bytes: size of the key's batch value; None where the key has none.
        last_ms: if nothing was found, the beginning of the key's last tile or row; None for a key
            without tiles and rows.
    """

    fetcher: Fetcher
    key: Key
    at_ms: int
    reading: Reading
    found: list[list[TimedValue]]
    tiles: tuple[ReadTile, ...]
    rows: tuple[ReadRow, ...]
    batch: Batch
    batch_bytes: int | None
    last_ms: int | None

    @cached_property
    def values(self) -> Features:
        """The result of `Fetcher.fetch`, derived if the GroupBy derives; raises as `fetch` does."""
        return self.reading.values(self.found)[0]

    @property
    def is_found(self) -> bool:
        """Whether the fetch has found anything."""
        return any(self.found)


def read_evidence(fetcher: Fetcher, key: Key, at_ms: int) -> Evidence:
    """Read what a fetch of `key` at `at_ms` reads, and the notes of its tiles.

    Raises:
        StoreFailure: the store cannot be read.
        KeyMismatch, QueryBeforeBatch, AvroError: as `Fetcher.fetch`.
    """
    reading = fetcher.reading([key], at_ms)
    found, noted = _read(fetcher, reading)
    answered = list(zip(reading.requests, found, strict=True))
    group_by = fetcher.plan.group_by
    streamed = [each for each in answered if each[0].dataset == group_by.streaming_dataset]
    batched = [v for asked, vs in answered if asked.dataset == group_by.batch_dataset for v in vs]
    return Evidence(
        fetcher,
        key,
        at_ms,
        reading,
        found,
        _tiles(fetcher, streamed, noted) if fetcher.tiled else (),
        () if fetcher.tiled else _rows(fetcher, streamed),
        _batch(fetcher, batched),
        len(batched[0].value_bytes) if batched else None,
        None if any(found) else _last_ms(fetcher, key),
    )


def _last_ms(fetcher: Fetcher, key: Key) -> int | None:
    with reading_store():
        return last_times(fetcher, [key])[0]


def _read(
    fetcher: Fetcher, reading: Reading
) -> tuple[list[list[TimedValue]], list[list[TimedValue]]]:
    """The answers to a fetch's requests, and the notes of the tiles that it reads."""
    streaming = fetcher.plan.group_by.streaming_dataset
    tiles = [each for each in reading.requests if fetcher.tiled and each.dataset == streaming]
    notes = [each._replace(dataset=NOTES_DATASET.format(streaming)) for each in tiles]
    with reading_store():
        answers = fetcher.store.multi_get([*reading.requests, *notes])
    return answers[: len(reading.requests)], answers[len(reading.requests) :]


def without_derivations(fetcher: Fetcher) -> Fetcher:
    """The fetcher of the features that a GroupBy aggregates, before others are derived of them."""
    group_by = replace(fetcher.plan.group_by, derivations=())
    return replace(fetcher, plan=replace(fetcher.plan, group_by=group_by), derive=None)


def _tiles(
    fetcher: Fetcher,
    streamed: Sequence[tuple[GetRequest, Sequence[TimedValue]]],
    noted: Sequence[Sequence[TimedValue]],
) -> tuple[ReadTile, ...]:
    specs = {spec.size_ms: spec for spec in fetcher.plan.specs}
    tiles = []
    for (request, values), notes in zip(streamed, noted, strict=True):
        by_start = {note.ts_ms: note.value_bytes for note in notes}
        spec = specs[request.tile_size_ms]
        for value in values:
            accumulator, is_complete = fetcher.plan.tiles.decode(value.value_bytes)
            blob = by_start.get(value.ts_ms)
            # A closing write holds the whole tile, so an older note no longer counts.
            note = None if is_complete else RepairNote.unpack(blob)
            corrected = not is_complete and blob == RepairNote.pack(None)
            size = len(value.value_bytes)
            tiles.append(
                ReadTile(spec, value.ts_ms, accumulator, is_complete, size, note, corrected)
            )
    return tuple(sorted(tiles, key=lambda tile: tile.start_ms))


def _rows(
    fetcher: Fetcher, streamed: Sequence[tuple[GetRequest, Sequence[TimedValue]]]
) -> tuple[ReadRow, ...]:
    codec, entities = fetcher.plan.rows, fetcher.plan.group_by.is_entities
    rows = []
    for value in (value for _, values in streamed for value in values):
        columns = codec.decode(value.value_bytes)
        ts_ms = columns[-2] if entities else value.ts_ms
        kept = (*columns[:-2], columns[-1]) if entities else columns
        rows.append(ReadRow(value.ts_ms, ts_ms, kept, len(value.value_bytes)))
    return tuple(rows)


def _batch(fetcher: Fetcher, found: Sequence[TimedValue]) -> Batch:
    info = fetcher.batch
    if info is None or info.is_snapshot:
        return NO_BATCH
    ir: FinalBatchIr | None = None
    if found:
        ir = info.plan.batch_irs.decode(found[0].value_bytes)
    return Batch(info.end_ms, ir, info.plan.group_by.features)
