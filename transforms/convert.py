"""Tiles and rows to PutRequests.

Source: `ai.chronon.flink.AvroCodecFn` and `TiledAvroCodecFn`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from chronon_beam.aggregator.avro import AvroError
from chronon_beam.aggregator.codecs import RecordCodec
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.group_by import MUTATION_TIME
from chronon_beam.api.records import Failure, PutRequest
from chronon_beam.transforms.rows import Rows, Tiles, dead_row

FAILURES = "failures"


def tile_requests(tiles: Tiles, dataset: str) -> list[PutRequest]:
    """One PutRequest for each tile, in order."""
    start_ms, size_ms = tiles.start_ms, tiles.size_ms
    return [
        PutRequest(key, value, dataset, ts_ms, start_ms, size_ms)
        for key, value, ts_ms in zip(tiles.keys, tiles.values, tiles.ts_ms, strict=True)
    ]


def row_requests(
    rows: Rows, keys: RecordCodec, values: RecordCodec, dataset: str, time: str = "ts"
) -> tuple[list[PutRequest], list[Failure]]:
    """One PutRequest for each row of an untiled job; rows that Avro cannot hold fail alone.

    They are stored under the column `time`: of entities that of the mutation, as in Chronon.
    """
    times = rows.batch.column(time).to_pylist()
    key_rows = zip(*(rows.batch.column(name).to_pylist() for name in keys.columns), strict=True)
    value_rows = zip(*(rows.batch.column(name).to_pylist() for name in values.columns), strict=True)
    requests, failures = [], []
    for index, (ts_ms, key, value) in enumerate(zip(times, key_rows, value_rows, strict=True)):
        try:
            key_bytes, value_bytes = keys.encode(key), values.encode(value)
        except AvroError as error:
            failures.append(dead_row(rows, index, "Convert", str(error)))
            continue
        # An event can give several rows: the position among them tells them apart.
        position = f"{rows.source}@{rows.positions[index]}#{_repeats(rows.positions, index)}"
        requests.append(PutRequest(key_bytes, value_bytes, dataset, ts_ms, ts_ms, 0, position))
    return requests, failures


def _repeats(positions: list[int], index: int) -> int:
    """How many rows of the same event come directly before the one at `index`."""
    repeats = 0
    while index > repeats and positions[index - repeats - 1] == positions[index]:
        repeats += 1
    return repeats


@dataclass
class ConvertTiles(beam.PTransform):
    """Tiles to lists of PutRequests."""

    plan: Plan

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, tiles: beam.PCollection[Tiles]) -> beam.PCollection[list[PutRequest]]:
        """One list a batch."""
        return tiles | "Requests" >> beam.Map(
            tile_requests, dataset=self.plan.group_by.streaming_dataset
        )


@dataclass
class ConvertRows(beam.PTransform):
    """Rows of an untiled job to lists of PutRequests; `failures` beside them."""

    plan: Plan

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, rows: beam.PCollection[Rows]) -> Any:
        """One list a batch."""
        return rows | "Requests" >> beam.ParDo(_ConvertRowsFn(self.plan)).with_outputs(
            FAILURES, main="requests"
        )


class _ConvertRowsFn(beam.DoFn):
    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def setup(self) -> None:
        self._keys, self._rows = self._plan.keys, self._plan.rows

    def process(self, rows: Rows) -> Iterator[Any]:
        dataset = self._plan.group_by.streaming_dataset
        time = MUTATION_TIME if self._plan.group_by.is_entities else "ts"
        requests, failures = row_requests(rows, self._keys, self._rows, dataset, time)
        yield requests
        yield from (TaggedOutput(FAILURES, failure) for failure in failures)
