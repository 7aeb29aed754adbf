"""The batches that travel from evaluation to tiling and conversion."""

import base64
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from chronon_beam.api.formats.python_values import python_row
from chronon_beam.api.records import Failure, Form, Phase


def promises_at(promised_ms: pa.Array | None, indices: Any) -> pa.Array | None:
    """The promises at `indices` (ints), for the events or rows that are left of a batch."""
    return None if promised_ms is None else promised_ms.take(pa.array(indices, pa.int64()))


class Rows(NamedTuple):
    """Rows of the GroupBy that came from one batch of events.

    Attributes:
        batch: columns are the keys, the aggregation inputs and `ts` (int64, milliseconds).
        source: see `Messages.source`.
        positions: the position of the event that each row came from.
        promised_ms: what the partition had promised before the event that each row came from, see
            `Messages.promised_ms`.
    """

    batch: pa.RecordBatch
    source: str
    positions: list[int]
    promised_ms: pa.Array | None = None


class Tiles(NamedTuple):
    """Tiles of one window, to be written in this order; one key may have several tiles.

    Attributes:
        keys: Avro of the entity's key, one per tile.
        values: the bytes of each tile.
        ts_ms: the time of the last event in each tile.
        start_ms: the window's start.
        size_ms: the window's length.
        phase: says which events the values hold, see `Correction.phase`.
        events: the event that each tile is written for (see `Correction.event`), if the tiles are
            corrections of what is stored; else empty.
    """

    keys: list[bytes]
    values: list[bytes]
    ts_ms: list[int]
    start_ms: int
    size_ms: int
    phase: Phase = Phase.OPEN
    events: Sequence[str] = ()


def as_json(value: dict[str, Any]) -> bytes:
    """One row as JSON, which the serde `json` reads again by the types of the row's columns.

    What JSON has no form for becomes text: bytes base64, times ISO-8601. What it cannot read again
    are NaN, infinities, and maps with other keys than texts and integers.
    """
    return json.dumps(_plain(value), default=str, ensure_ascii=False).encode()


def _plain(value: Any) -> Any:
    """The value with bytes as base64, and maps as dicts; Arrow gives maps as lists of pairs."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        is_map = bool(value) and isinstance(value[0], tuple)
        return _plain(dict(value)) if is_map else [_plain(inner) for inner in value]
    return value


def row_json(batch: pa.RecordBatch, index: int) -> bytes:
    """The row at `index` as JSON; see `python_value` for what Python has no value for."""
    return as_json(python_row(batch, index))


def dead_row(rows: Rows, index: int, step: str, reason: str) -> Failure:
    """The row at `index` as a failure of `step`."""
    payload, position = row_json(rows.batch, index), rows.positions[index]
    ts_ms = rows.batch.column("ts")[index].as_py()
    return Failure(step, reason, payload, rows.source, position, Form.ROW, event_time_ms=ts_ms)
