"""Traces each event through the five operators: one JSON line per row.

The trace calls the functions of the job's own stages with one event after another, so an event that
the job would dead-letter is dead here as well. Nothing is written to a store.
"""

import base64
import re
from collections.abc import Iterator
from typing import Any, TypeVar

import apache_beam as beam
import pyarrow as pa
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from chronon_beam.aggregator.plan import Plan
from chronon_beam.aggregator.row import Accumulator
from chronon_beam.api.formats.python_values import python_row
from chronon_beam.api.load import load_computable
from chronon_beam.api.records import Failure, GetRequest, Messages, PutRequest
from chronon_beam.io.kv_store import KVStore
from chronon_beam.io.sources import Source
from chronon_beam.pipeline.prepare import planned
from chronon_beam.transforms.convert import row_converter, tile_puts
from chronon_beam.transforms.decode import Events, decode_messages
from chronon_beam.transforms.evaluate import columns_read, evaluator
from chronon_beam.transforms.keyed_rows import INPUTS_FROM
from chronon_beam.transforms.mutations import failed_deletes
from chronon_beam.transforms.rows import Rows, Tiles, dead_row, promises_at
from chronon_beam.transforms.spark.query import SqlQuery
from chronon_beam.transforms.stage import Result
from chronon_beam.transforms.tiling.life import Life
from chronon_beam.transforms.tiling.settings import Tiling
from chronon_beam.transforms.tiling.tile import splitter
from chronon_beam.transforms.tiling.window_tiles import WindowTiles

JsonObject = dict[str, Any]
"""A line, or a part of it: what each operator gave, by the operator's name."""

Batch = TypeVar("Batch", Events, Rows)

_GENERATOR = re.compile(r"\b(?:pos)?explode(?:_outer)?\s*\(|\b(?:inline|stack|json_tuple)", re.I)


class Tracer:
    """Follows events through the operators of one GroupBy.

    Args:
        place: see `load_group_by`.
        dialect: see `load_group_by`.
        source_uri: where events come from.
        tiled: whether the job writes tiles.
        store: each line also shows what this store holds; None leaves that out.
    """

    def __init__(
        self,
        place: str,
        dialect: str | None,
        source_uri: str,
        tiled: bool,
        store: KVStore | None = None,
    ) -> None:
        found = planned(load_computable(place, dialect), source_uri)
        self._source = found.source
        self._columns = columns_read(found.query, found.changes)
        self._decoder = found.serde.decoder(self._columns)
        self._evaluate = evaluator(found.query, found.changes is not None)
        self._why_filtered = why_filtered(found.query, found.changes is not None)
        self._plan = found.plan.checked(tiled)
        self._store = store
        self._tile = SingleTiles(self._plan) if tiled else None
        self._convert = row_converter(self._plan)

    def lines(self) -> Iterator[JsonObject]:
        """One object per row, filtered event and dead letter, in the order of the source."""
        for messages in read(self._source, self._columns):
            events, failures, _ = decode_messages(messages, self._decoder)
            yield from map(_dead, failures)
            for index in range(events.batch.num_rows):
                yield from self._event(_at(events, index))

    def _event(self, event: Events) -> Iterator[JsonObject]:
        position, source = f"{event.source}@{event.positions[0]}", python_row(event.batch, 0)
        line: JsonObject = {"position": position, "1_source": source}
        rows, failures, _ = self._evaluate(event)
        for failure in failures:
            yield {**line, **_dead(failure)}
        if not failures and not rows.batch.num_rows:
            yield {**line, "2_evaluate": None, "filtered": self._why_filtered}
        for index in range(rows.batch.num_rows):
            row = _at(rows, index)
            yield {**line, "2_evaluate": python_row(row.batch, 0), **self._row(row)}

    def _row(self, row: Rows) -> JsonObject:
        deletes = failed_deletes(row, self._plan) if self._plan.group_by.is_entities else []
        reported = _dead(deletes[0]) if deletes else {}
        tile = self._tile
        if tile is None:
            requests, failures, _ = self._convert(row)
            return reported | (_dead(failures[0]) if failures else self._put_row(requests[0]))
        tiles, failures, _ = tile(row)
        return reported | (_dead(failures[0]) if failures else self._put_tile(tiles, row))

    def _put_row(self, request: PutRequest) -> JsonObject:
        return {"4_convert": _put(request), **self._stored(request)}

    def _put_tile(self, tiles: Tiles, row: Rows) -> JsonObject:
        request = tile_puts(tiles, self._plan.group_by.streaming_dataset)[0]
        values = python_row(row.batch, 0)
        key = {name: values[name] for name in self._plan.keys.columns}
        place = {"tile_size_ms": request.tile_size_ms, "tile_start_ms": request.tile_start_ms}
        window: JsonObject = {
            "key": key,
            "tile_start_ms": tiles.start_ms,
            "tile_end_ms": tiles.start_ms + tiles.size_ms,
            "pre_aggregates": self._finalized(self._plan.tiles.decode(tiles.values[0])[0]),
        }
        write = {"dataset": request.dataset, "key": key, **place}
        steps = {"3_window": window, "4_convert": _put(request), "5_write": write}
        return {**steps, **self._stored(request)}

    def _stored(self, request: PutRequest) -> JsonObject:
        """What the store holds now where the request would be written."""
        if self._store is None:
            return {}
        start_ms = request.tile_start_ms
        asked = GetRequest(
            request.key_bytes, request.dataset, start_ms, start_ms + 1, request.tile_size_ms
        )
        (found,) = self._store.multi_get([asked])
        return {"stored": [self._decoded(value.value_bytes) for value in found]}

    def _decoded(self, value: bytes) -> JsonObject:
        if self._tile is None:
            row = self._plan.rows.decode(value)
            return {"row": dict(zip(self._plan.inputs, row, strict=True))}
        tile, is_complete = self._plan.tiles.decode(value)
        return {"pre_aggregates": self._finalized(tile), "isComplete": is_complete}

    def _finalized(self, tile: Accumulator) -> JsonObject:
        columns = self._plan.aggregator.columns
        return {
            column.part.column: column.finalize(ir)
            for column, ir in zip(columns, tile, strict=True)
        }


class SingleTiles:
    """The stage Tile for one row at a time, in one process, by the job's own splitter and tiles.

    If the GroupBy has tiles of several sizes, those of the first size are shown.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan, self._spec = plan, plan.specs[0]
        self._splitter = splitter(plan, self._spec, Tiling(shards=1))
        self._rows = plan.row_aggregator(self._spec, INPUTS_FROM)
        self._windows: dict[int, WindowTiles] = {}
        self._cells: dict[int, bytes | None] = {}

    def __call__(self, row: Rows) -> Result[Any]:
        """The tile of a row, with all rows before it; None with a failure if the row is refused."""
        reasons = [reason for _, reason in self._splitter.add(row)]
        for pane, batch in self._splitter.drain():
            step = self._window(pane.start_ms).receive(batch, self._cells.get(pane.start_ms), list)
            if step.change is not None:
                self._cells[pane.start_ms] = step.change.cell
            if step.tiles and not step.refused:
                return Result(step.tiles[-1])
            reasons += [reason for _, reason in step.refused]
        return Result(None, [dead_row(row, 0, "Tile", reason) for reason in reasons])

    def _window(self, start_ms: int) -> WindowTiles:
        """The tiles of the window that starts at `start_ms`; it never closes."""
        if start_ms not in self._windows:
            life = Life(start_ms, start_ms + self._spec.size_ms, lateness_ms=0)
            self._windows[start_ms] = WindowTiles(self._rows, self._plan.tiles, life)
        return self._windows[start_ms]


def why_filtered(query: SqlQuery, changes: bool) -> str:
    """The reasons for which an event may have no row."""
    reasons = ["a where was not true"] if query.wheres else []
    if any(_GENERATOR.search(text) for _, text in query.selects):
        reasons.append("there was nothing to explode")
    if changes:
        reasons.append("it has neither a row before nor after")
    return ", or ".join(reasons)


def _at(batch: Batch, index: int) -> Batch:
    """The event or row at `index`, as a batch of one."""
    if isinstance(batch, Events):
        return batch.of_messages([index])._replace(batch=batch.batch.slice(index, 1))
    return batch._replace(
        batch=batch.batch.slice(index, 1),
        positions=batch.positions[index : index + 1],
        promised_ms=promises_at(batch.promised_ms, [index]),
    )


def _put(request: PutRequest) -> JsonObject:
    """A request by the names that Chronon gives its fields."""
    return {
        "PutRequest": {
            "keyBytes": base64.b64encode(request.key_bytes).decode(),
            "valueBytes": base64.b64encode(request.value_bytes).decode(),
            "dataset": request.dataset,
            "tsMillis": request.ts_ms,
        }
    }


def _dead(failure: Failure) -> JsonObject:
    return {
        "position": f"{failure.source}@{failure.position}",
        "dead_letter": {"step": failure.step, "reason": failure.reason},
        "payload": failure.payload.decode(errors="replace"),
    }


_collected: list[Messages] = []


def read(source: Source, columns: pa.Schema) -> list[Messages]:
    """All messages of a bounded source, in order, read by its own Beam transform."""
    _collected.clear()
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        _ = pipeline | "Read" >> source.transform(columns) | beam.Map(_collect)
    return sorted(_collected, key=lambda messages: (messages.source, messages.positions[:1]))


def _collect(messages: Messages) -> None:
    _collected.append(messages)
