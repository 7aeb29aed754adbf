"""Tiles and rows to PutRequests.

Source: `ai.chronon.flink.AvroCodecFn` and `TiledAvroCodecFn`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from typing import Any, NamedTuple

import apache_beam as beam

from chronon_beam.aggregator.avro import AvroError
from chronon_beam.aggregator.codecs import RecordCodec
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.counts import Count, uncounted
from chronon_beam.api.group_by import MUTATION_TIME
from chronon_beam.api.records import Correction, Failure, PutRequest
from chronon_beam.transforms.rows import Rows, Tiles, dead_row
from chronon_beam.transforms.stage import PerBatch, Result, outputs_of

STEP = "Convert"

_put_request = partial(tuple.__new__, PutRequest)
"""`PutRequest._make` without a call of Python for every request."""


def tile_puts(tiles: Tiles, dataset: str) -> list[PutRequest]:
    """One PutRequest per tile, in order."""
    same = (repeat(tiles.start_ms), repeat(tiles.size_ms), repeat(""))
    fields = zip(tiles.keys, tiles.values, repeat(dataset), tiles.ts_ms, *same)
    return list(map(_put_request, fields))


def tile_requests(tiles: Tiles, dataset: str) -> list[PutRequest] | list[Correction]:
    """As `tile_puts`; as Corrections if `tiles` has `events`."""
    puts = tile_puts(tiles, dataset)
    if not tiles.events:
        return puts
    return list(map(Correction, puts, repeat(tiles.phase), tiles.events))


def row_converter(plan: Plan) -> Callable[[Rows], Result[list[PutRequest]]]:
    """The function of the stage `ConvertRows`: it has the codecs of `plan`.

    Rows are stored under their own time, rows of entities under that of the mutation, as in
    Chronon.
    """
    time = MUTATION_TIME if plan.group_by.is_entities else "ts"
    return partial(
        row_requests,
        keys=plan.keys,
        values=plan.rows,
        dataset=plan.group_by.streaming_dataset,
        time=time,
    )


def row_requests(
    rows: Rows, keys: RecordCodec, values: RecordCodec, dataset: str, time: str = "ts"
) -> Result[list[PutRequest]]:
    """One PutRequest per row, stored under the column `time`; rows that Avro cannot hold fail."""
    key_bytes, bad_keys = _records(rows, keys)
    value_bytes, bad_values = _records(rows, values)
    times, positions = rows.batch.column(time).to_pylist(), _row_positions(rows)
    fields = zip(key_bytes, value_bytes, repeat(dataset), times, times, repeat(0), positions)
    requests = list(map(_put_request, fields))
    bad = bad_values | bad_keys
    if not bad:
        return Result(requests)
    failures = [dead_row(rows, index, STEP, bad[index]) for index in sorted(bad)]
    good = [request for index, request in enumerate(requests) if index not in bad]
    return Result(good, failures)


def _records(rows: Rows, codec: RecordCodec) -> tuple[list[bytes], dict[int, str]]:
    """The record of each row, empty if Avro cannot hold the row; and the reason by row index."""
    values = zip(*(rows.batch.column(name).to_pylist() for name in codec.columns), strict=True)
    encoded: list[bytes] = []
    reasons: dict[int, str] = {}
    while len(encoded) < rows.batch.num_rows:
        try:
            encoded.extend(map(codec.encode, values))
        except AvroError as error:  # all before it are encoded
            reasons[len(encoded)] = str(error)
            encoded.append(b"")
    return encoded, reasons


def _row_positions(rows: Rows) -> list[str]:
    """`source@position#n`: an event can give several rows, which `n` tells apart."""
    positions, source = rows.positions, rows.source
    if len(set(positions)) == len(positions):
        return [f"{source}@{position}#0" for position in positions]
    return [f"{source}@{each}#{_repeats(positions, i)}" for i, each in enumerate(positions)]


def _repeats(positions: list[int], index: int) -> int:
    """How many rows of the same event come directly before the one at `index`."""
    repeats = 0
    while index > repeats and positions[index - repeats - 1] == positions[index]:
        repeats += 1
    return repeats


@dataclass
class ConvertTiles(beam.PTransform):
    """Tiles to lists of PutRequests, or of Corrections if the tiles correct what is stored."""

    plan: Plan

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, tiles: beam.PCollection[Tiles]) -> beam.PCollection[list[Any]]:
        """One list per Tiles."""
        return tiles | "Requests" >> beam.Map(
            tile_requests, dataset=self.plan.group_by.streaming_dataset
        )


class Converted(NamedTuple):
    """The outputs of `ConvertRows`."""

    requests: beam.PCollection[list[PutRequest]]
    failures: beam.PCollection[Failure]


@dataclass
class ConvertRows(beam.PTransform):
    """Rows of an untiled job to lists of PutRequests."""

    plan: Plan
    count: Count = uncounted

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, rows: beam.PCollection[Rows]) -> Converted:
        """One list per batch."""
        start = partial(row_converter, self.plan)
        return Converted(*outputs_of(rows | "Requests" >> PerBatch(start, self.count)))
