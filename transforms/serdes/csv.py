r"""The serde `csv`: each message is one line of separated values, in the order of the columns.

Parameters, by Spark's names and with Spark's defaults:

- `names`: the names of the columns, as a JSON array; the `file:` source gives them itself;
- `sep`: stands between values, one character or `\t`; default `,`;
- `quote`: stands around values that hold a separator; default `"`. Two quotes inside are one;
- `escape`: stands before a quote inside a value; default `\`;
- `nullValue`: the text that means null; an empty value is always null.

Numbers, `true` and `false` are read from text, DATE and TIMESTAMP from ISO-8601, and other types as
the serde `json` reads them. A line with more or fewer values than columns is a dead letter, and so
is a line with a value that its column cannot hold. A record is one line: values that contain line
ends are not supported.
"""

import csv
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from chronon_beam.api.formats.json_columns import JsonColumns
from chronon_beam.api.plugins import refuse_unknown
from chronon_beam.api.records import Messages
from chronon_beam.api.serde import Decoded, Reasons

_KNOWN = ("names", "sep", "quote", "escape", "nullValue")
_WHOLE = re.compile(r"[+-]?\d+")
_BOOLEANS = {"true": True, "false": False}


def open_serde(parameters: Mapping[str, str]) -> "CsvSerDe":
    """The serde; raises ValueError for a parameter that is unknown or wrong."""
    refuse_unknown(parameters, _KNOWN, "format csv")
    if "names" not in parameters:
        raise ValueError('format csv: names= is missing, for example names=["id", "ts"]')
    return CsvSerDe(
        tuple(json.loads(parameters["names"])),
        _character(parameters, "sep", ","),
        _character(parameters, "quote", '"'),
        _character(parameters, "escape", "\\"),
        parameters.get("nullValue", ""),
    )


def _character(parameters: Mapping[str, str], name: str, default: str) -> str:
    found = parameters.get(name, default).replace("\\t", "\t")
    if len(found) != 1:
        raise ValueError(f"format csv: {name}={found!r}: one character is expected")
    return found


@dataclass(frozen=True)
class CsvSerDe:
    """Lines of separated values.

    Attributes:
        names: the columns, in order.
        sep, quote, escape, null: the parameters with these names; `null` is `nullValue`.
    """

    names: tuple[str, ...]
    sep: str = ","
    quote: str = '"'
    escape: str = "\\"
    null: str = ""

    def schema(self) -> pa.Schema:
        """All columns are STRING, as in Spark without `inferSchema`."""
        return pa.schema([(name, pa.string()) for name in self.names])

    def decoder(self, columns: pa.Schema) -> "CsvDecoder":
        """See `SerDe.decoder`; raises ValueError for a type that a line cannot hold."""
        for each in columns:
            if pa.types.is_nested(each.type) or pa.types.is_binary(each.type):
                raise ValueError(f"column {each.name!r} cannot be read from CSV: use STRING")
        return CsvDecoder(self, columns)

    def values(self, line: str) -> list[str | None]:
        """The values of one line; raises ValueError if the line is not CSV."""
        doubled = self.escape == self.quote
        reader = csv.reader(
            [line],
            delimiter=self.sep,
            quotechar=self.quote,
            escapechar=None if doubled else self.escape,
            strict=True,
        )
        try:
            found = next(reader, [])
        except csv.Error as error:
            raise ValueError(f"not CSV: {error}") from None
        return [None if text in ("", self.null) else text for text in found]


class CsvDecoder:
    """Reads lines into `columns`."""

    def __init__(self, serde: CsvSerDe, columns: pa.Schema) -> None:
        self._serde = serde
        self._columns = JsonColumns(columns)
        lower = [name.lower() for name in serde.names]
        found = [
            (lower.index(each.name.lower()), each.name, _reader(each.type))
            for each in columns
            if each.name.lower() in lower
        ]
        self._found = found

    def decode(self, messages: Messages) -> Decoded:
        """See `Decoder.decode`."""
        rows: list[dict[str, Any]] = []
        indices: list[int] = []
        reasons: Reasons = {}
        for index, payload in enumerate(messages.payloads):
            try:
                rows.append(self._row(payload))
                indices.append(index)
            except ValueError as error:
                reasons[index] = str(error)
        batch, unfit = self._columns.read(rows)
        return Decoded(batch, reasons | {indices[row]: why for row, why in unfit.items()})

    def close(self) -> None:
        """Nothing is open."""

    def _row(self, payload: bytes) -> dict[str, Any]:
        values = self._serde.values(payload.decode())
        if len(values) != len(self._serde.names):
            raise ValueError(f"{len(values)} values, and {len(self._serde.names)} columns")
        return {
            name: None if (text := values[at]) is None else read(text)
            for at, name, read in self._found
        }


def _reader(kind: pa.DataType) -> Callable[[str], Any]:
    """Turns text into the JSON value of a type; other text stays, and is refused later."""
    if pa.types.is_integer(kind):
        return lambda text: int(text) if _WHOLE.fullmatch(text) else text
    if pa.types.is_floating(kind):
        return _number
    if pa.types.is_boolean(kind):
        return lambda text: _BOOLEANS.get(text.lower(), text)
    return str


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
