"""Messages to events: bytes to one Arrow batch of the source's schema; what is no event goes apart.

JSON (a message is one object):
- a field that is missing is null, one that the schema lacks is ignored, of two the last counts;
- a top-level field is found by its exact name, else by its name in another case;
- whole floats (`1.0`) are integers; nothing else changes its kind: `"12"`, `true` are no integers;
- TIMESTAMP: ISO-8601 text (UTC unless it has an offset) or epoch milliseconds; DATE: ISO text or
  epoch days; DECIMAL: number or text, rounded half up to its scale; BINARY: base64 text;
- NaN, infinity and text that is not UTF-8 are refused, as JSON has it.

Every column may be null, as in Spark when it reads files.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import apache_beam as beam
import orjson
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput

from chronon_beam.api.counts import Count, uncounted
from chronon_beam.api.records import MIN_MS, Failure, Messages
from chronon_beam.transforms.serdes.json_columns import JsonColumns, TableColumns, python_value

STEP = "Decode"
FAILURES = "failures"
_KINDS = {list: "array", str: "string", bool: "boolean", int: "number", float: "number"}


class Events(NamedTuple):
    """Decoded messages of one partition.

    Attributes:
        batch: one row an event, columns of the source's schema.
        source: see `Messages.source`.
        positions: see `Messages.positions`, one a row.
        payloads: the JSON each row came from; None where the messages were a table.
        watermark_ms: see `Messages.watermark_ms`.
    """

    batch: pa.RecordBatch
    source: str
    positions: list[int]
    payloads: list[bytes] | None
    watermark_ms: int


def decode_messages(messages: Messages, schema: pa.Schema) -> tuple[Events, list[Failure]]:
    """The events of `schema` in `messages`, and the messages that are none; nothing is lost.

    Raises:
        ValueError: JSON has no form for a type of `schema`.
    """
    if messages.error is not None:
        return _events(messages, _no_rows(schema), [], None), _unread(messages)
    if messages.table is not None:
        return _decode_table(messages, schema)
    return _decode_json(messages, schema)


@dataclass
class Decode(beam.PTransform):
    """Messages to Events of `schema`: `events`, and `failures` beside them."""

    schema: pa.Schema
    count: Count = uncounted

    def __post_init__(self) -> None:
        super().__init__()
        columns_of(self.schema)

    def expand(self, messages: beam.PCollection[Messages]) -> Any:
        """One Events a Messages; none where no event is left and no watermark moved."""
        return messages | "Decode" >> beam.ParDo(_DecodeFn(self)).with_outputs(
            FAILURES, main="events"
        )


class _DecodeFn(beam.DoFn):
    def __init__(self, decode: Decode) -> None:
        self._schema = decode.schema
        self._count = decode.count

    def process(self, messages: Messages) -> Iterator[Any]:
        events, failures = decode_messages(messages, self._schema)
        self._count("messages", 0 if messages.error else len(messages.positions))
        self._count("dead", len(failures))
        for failure in failures:
            yield TaggedOutput(FAILURES, failure)
        if events.positions or events.watermark_ms > MIN_MS:
            yield events


@lru_cache(maxsize=64)
def columns_of(schema: pa.Schema) -> JsonColumns:
    """The compiled reader of `schema`, one a process.

    Raises:
        ValueError: JSON has no form for a type of `schema`.
    """
    return JsonColumns(schema)


def _decode_json(messages: Messages, schema: pa.Schema) -> tuple[Events, list[Failure]]:
    rows, reasons = _parse(messages.payloads)
    batch, unfit = columns_of(schema).read([row for row in rows if row is not None])
    if not reasons and not unfit:
        return _events(messages, batch, messages.positions, messages.payloads), []
    objects = [index for index, row in enumerate(rows) if row is not None]
    reasons.update((objects[index], reason) for index, reason in unfit.items())
    kept = [index for index in objects if index not in reasons]
    failures = [
        Failure(STEP, reason, messages.payloads[i], messages.source, messages.positions[i])
        for i, reason in sorted(reasons.items())
    ]
    positions = [messages.positions[i] for i in kept]
    return _events(messages, batch, positions, [messages.payloads[i] for i in kept]), failures


def _parse(payloads: list[bytes]) -> tuple[list[dict[str, Any] | None], dict[int, str]]:
    """The object of each payload, or None and the reason why there is none."""
    try:
        rows: list[Any] = list(map(orjson.loads, payloads))
    except orjson.JSONDecodeError:
        rows = list(map(_parse_one, payloads))
    reasons: dict[int, str] = {}
    if set(map(type, rows)) - {dict}:
        for index, row in enumerate(rows):
            if type(row) is not dict:
                reasons[index] = _no_object(row)
                rows[index] = None
    return rows, reasons


def _parse_one(payload: bytes) -> Any:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        return error


def _no_object(value: Any) -> str:
    if isinstance(value, orjson.JSONDecodeError):
        return f"not JSON: {value}"
    return f"a JSON object is expected, found {_KINDS.get(type(value), 'null')}"


def _decode_table(messages: Messages, schema: pa.Schema) -> tuple[Events, list[Failure]]:
    try:
        with pa.ipc.open_stream(messages.table) as stream:
            table = stream.read_all()
    except pa.ArrowException as error:
        reason = f"not an Arrow IPC stream: {error}"
        position = messages.positions[0] if messages.positions else -1
        failure = Failure(STEP, reason, messages.table or b"", messages.source, position)
        return _events(messages, _no_rows(schema), [], None), [failure]
    batch, reasons = TableColumns(schema).read(table)
    failures = [
        Failure(STEP, reason, _row_json(table, i), messages.source, messages.positions[i])
        for i, reason in sorted(reasons.items())
    ]
    positions = [at for i, at in enumerate(messages.positions) if i not in reasons]
    return _events(messages, batch, positions, None), failures


def _row_json(table: pa.Table, index: int) -> bytes:
    row = {name: python_value(table[i], index) for i, name in enumerate(table.column_names)}
    return json.dumps(row, default=str).encode()


def _unread(messages: Messages) -> list[Failure]:
    """One failure for what the source could not read, or one a payload where it knows some."""
    positions = messages.positions or [-1]
    payloads = messages.payloads or [b""]
    if len(positions) != len(payloads):
        positions, payloads = positions[:1], [b"\n".join(payloads)]
    reason = messages.error or ""
    return [
        Failure("Read", reason, payload, messages.source, position)
        for payload, position in zip(payloads, positions, strict=True)
    ]


def _no_rows(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema)


def _events(
    messages: Messages, batch: pa.RecordBatch, positions: list[int], payloads: list[bytes] | None
) -> Events:
    return Events(batch, messages.source, positions, payloads, messages.watermark_ms)
