"""The serde `json`: each message is one JSON object.

- A field that is missing is null, one that is not a column is ignored; of two the last counts.
- A top-level field is found by its exact name, else by its name in another case.
- Whole floats (`1.0`) are integers; nothing else changes its kind: `"12"` and `true` are not
  integers.
- TIMESTAMP: ISO-8601 text (UTC unless it has an offset) or epoch milliseconds; DATE: ISO text or
  epoch days; DECIMAL: number or text, rounded half up to its scale; BINARY: base64 text.
- NaN, infinity and text that is not UTF-8 are refused, as JSON has it.

Every column may be null, as in Spark when it reads files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa

from chronon_beam.api.formats.json_columns import JsonColumns
from chronon_beam.api.plugins import refuse_unknown
from chronon_beam.api.records import Messages
from chronon_beam.api.serde import Decoded, Reasons

_KINDS = {list: "array", str: "string", bool: "boolean", int: "number", float: "number"}


def open_serde(parameters: Mapping[str, str]) -> "JsonSerDe":
    """The serde; it has no parameters. Raises ValueError for any."""
    refuse_unknown(parameters, (), "format json")
    return JsonSerDe()


@dataclass(frozen=True)
class JsonSerDe:
    """JSON objects, which do not tell their columns."""

    def schema(self) -> pa.Schema | None:
        """None: the user tells the columns, or the source looks at some messages."""
        return None

    def decoder(self, columns: pa.Schema) -> "JsonDecoder":
        """See `SerDe.decoder`; raises ValueError if JSON has no form for a column's type."""
        return JsonDecoder(columns)


class JsonDecoder:
    """Reads JSON objects into `columns`."""

    def __init__(self, columns: pa.Schema) -> None:
        self._columns = JsonColumns(columns)

    def decode(self, messages: Messages) -> Decoded:
        """See `Decoder.decode`."""
        rows, reasons = _parse(messages.payloads)
        batch, unfit = self._columns.read([row for row in rows if row is not None])
        if unfit:
            objects = [index for index, row in enumerate(rows) if row is not None]
            reasons.update((objects[index], reason) for index, reason in unfit.items())
        return Decoded(batch, reasons)

    def close(self) -> None:
        """Nothing is open."""


def _parse(payloads: list[bytes]) -> tuple[list[dict[str, Any] | None], Reasons]:
    """The object of each payload, or None and the reason why there is none."""
    try:
        rows: list[Any] = list(map(orjson.loads, payloads))
    except orjson.JSONDecodeError:
        rows = list(map(_parse_one, payloads))
    reasons: Reasons = {}
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
