"""One JSON line an event: what each of the five operators makes of it.

The stages' own functions, called one event after another; nothing is written to a store.
"""

import base64
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from chronon_beam.aggregator.avro import AvroError
from chronon_beam.aggregator.layout import floor_to
from chronon_beam.aggregator.row import Accumulator
from chronon_beam.api.records import Failure, GetRequest, Messages, PutRequest
from chronon_beam.io.kv_store import KVStore
from chronon_beam.io.sources import Source
from chronon_beam.pipeline.prepare import loaded_group_by, planned
from chronon_beam.transforms.convert import row_requests, tile_puts
from chronon_beam.transforms.decode import Events, decode_messages
from chronon_beam.transforms.envelope import unfold
from chronon_beam.transforms.evaluate import columns_read, evaluate_events
from chronon_beam.transforms.rows import Rows, Tiles, dead_row
from chronon_beam.transforms.spark.compiled_query import compile_query

Step = dict[str, Any]


class Tracer:
    """Follows events through the operators of one GroupBy.

    Args:
        place, dialect: see `load_group_by`.
        source_uri: where events come from.
        tiled: whether the job would write tiles.
        store: whose content each line shows too; None shows none.
    """

    def __init__(
        self,
        place: str,
        dialect: str | None,
        source_uri: str,
        tiled: bool,
        store: KVStore | None = None,
    ) -> None:
        found = planned(loaded_group_by(place, dialect), source_uri)
        self._source = found.source
        self._columns = columns_read(found.query, found.changes)
        self._decoder = found.serde.decoder(self._columns)
        self._unfolds = found.changes is not None
        self._compiled = compile_query(found.query)
        self._plan = found.plan.checked(tiled)
        self._tiled = tiled
        self._store = store
        self._rows = self._plan.row_aggregator()
        self._live: dict[tuple[bytes, int], Accumulator] = {}

    def lines(self) -> Iterator[Step]:
        """One object an event, in the order of the source."""
        for messages in read(self._source, self._columns):
            events, failures, _ = decode_messages(messages, self._decoder)
            yield from (_dead(failure) for failure in failures)
            for index in range(events.batch.num_rows):
                yield from self._event(_one(events, index))

    def _event(self, event: Events) -> Iterator[Step]:
        source = event.batch.to_pylist()[0]
        events = unfold(event) if self._unfolds else event
        rows, failures, _ = evaluate_events(self._compiled, events)
        line: Step = {"position": f"{event.source}@{event.positions[0]}", "1_source": source}
        if failures:
            yield {**line, **_dead(failures[0])}
        elif not rows.batch.num_rows:
            yield {**line, "2_evaluate": None, "filtered": "a where was not true"}
        for index in range(rows.batch.num_rows):
            one = rows._replace(
                batch=rows.batch.slice(index, 1), positions=rows.positions[index : index + 1]
            )
            yield {**line, "2_evaluate": one.batch.to_pylist()[0], **self._row(one)}

    def _row(self, row: Rows) -> Step:
        if self._tiled:
            return self._tile(row)
        keys, values = self._plan.keys, self._plan.rows
        requests, failures, _ = row_requests(row, keys, values, self._dataset)
        if failures:
            return _dead(failures[0])
        return {"4_convert": _put(requests[0]), **self._stored(requests[0])}

    def _tile(self, row: Rows) -> Step:
        values = row.batch.to_pylist()[0]
        inputs, ts_ms = [values[name] for name in self._plan.row_columns], values["ts"]
        aggregator = self._plan.aggregator
        try:
            key_bytes = self._plan.keys.encode([values[name] for name in self._plan.keys.columns])
            # Tried on a tile of its own first: what cannot be written must leave no trace.
            self._plan.tiles.encode(self._added(aggregator.zero(), inputs, ts_ms))
        except AvroError as error:
            return _dead(dead_row(row, 0, "Tile", str(error)))
        spec = self._plan.specs[0]
        start_ms = floor_to(ts_ms, spec.size_ms)
        tile = self._live.setdefault((key_bytes, start_ms), aggregator.zero())
        encoded = self._plan.tiles.encode(self._added(tile, inputs, ts_ms))
        tiles = Tiles([key_bytes], [encoded], [ts_ms], start_ms, spec.size_ms)
        return self._put_tile(tiles, tile, {name: values[name] for name in self._plan.keys.columns})

    def _added(self, tile: Accumulator, inputs: list[Any], ts_ms: int) -> Accumulator:
        self._rows.update(tile, inputs, ts_ms)
        return tile

    def _put_tile(self, tiles: Tiles, tile: Accumulator, key: dict[str, Any]) -> Step:
        request = tile_puts(tiles, self._dataset)[0]
        place = {"tile_size_ms": request.tile_size_ms, "tile_start_ms": request.tile_start_ms}
        return {
            "3_window": {
                "key": key,
                "tile_start_ms": tiles.start_ms,
                "tile_end_ms": tiles.start_ms + tiles.size_ms,
                "pre_aggregates": self._finalized(tile),
            },
            "4_convert": _put(request),
            "5_write": {"dataset": request.dataset, "key": key, **place},
            **self._stored(request),
        }

    def _stored(self, request: PutRequest) -> Step:
        """What the store holds now where the request would be written."""
        if self._store is None:
            return {}
        start_ms = request.tile_start_ms
        asked = GetRequest(
            request.key_bytes, request.dataset, start_ms, start_ms + 1, request.tile_size_ms
        )
        (found,) = self._store.multi_get([asked])
        return {"stored": [self._decoded(value.value_bytes) for value in found]}

    def _decoded(self, value: bytes) -> Step:
        if not self._tiled:
            row = self._plan.rows.decode(value)
            return {"row": dict(zip(self._plan.inputs, row, strict=True))}
        tile, is_complete = self._plan.tiles.decode(value)
        return {"pre_aggregates": self._finalized(tile), "isComplete": is_complete}

    def _finalized(self, tile: Accumulator) -> Step:
        columns = self._plan.aggregator.columns
        return {
            column.part.column: column.finalize(ir)
            for column, ir in zip(columns, tile, strict=True)
        }

    @property
    def _dataset(self) -> str:
        return self._plan.group_by.streaming_dataset


def _one(events: Events, index: int) -> Events:
    payloads = events.payloads[index : index + 1] if events.payloads is not None else None
    return events._replace(
        batch=events.batch.slice(index, 1),
        positions=events.positions[index : index + 1],
        payloads=payloads,
    )


def _put(request: Any) -> Step:
    return {
        "PutRequest": {
            "keyBytes": base64.b64encode(request.key_bytes).decode(),
            "valueBytes": base64.b64encode(request.value_bytes).decode(),
            "dataset": request.dataset,
            "tsMillis": request.ts_ms,
        }
    }


def _dead(failure: Failure) -> Step:
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
