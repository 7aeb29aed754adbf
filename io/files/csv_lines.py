"""CSV files: their lines without the header, and the names and types of their columns.

The serde `csv` turns lines into values; this module only finds the lines.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa

from chronon_beam.api.plugins import refuse_unknown
from chronon_beam.api.records import Messages
from chronon_beam.api.serde import Format
from chronon_beam.io.files.json_lines import read_lines
from chronon_beam.io.files.parts import Part

OPTIONS = ("header", "sep", "delimiter", "quote", "escape", "nullValue", "inferSchema")
"""Spark's options that a URI may give."""

_TYPES = (pa.int64(), pa.float64(), pa.bool_(), pa.date32(), pa.timestamp("us"))


@dataclass(frozen=True)
class CsvOptions:
    """What the URI of a CSV source says.

    Attributes:
        header: whether the first line of each file names the columns.
        infers: whether columns have the types that the first lines show; if not, all are STRING.
        for_serde: the parameters of the serde `csv`, as pairs.
    """

    header: bool = False
    infers: bool = False
    for_serde: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> "CsvOptions":
        """The options that parameters give; raises ValueError if one is unknown or wrong."""
        refuse_unknown(parameters, OPTIONS, "a CSV source")
        if "delimiter" in parameters and "sep" in parameters:
            raise ValueError("sep and delimiter are one option: give one of them")
        others = [
            ("sep" if name == "delimiter" else name, value)
            for name, value in parameters.items()
            if name not in ("header", "inferSchema")
        ]
        header, infers = (_is_true(parameters, name) for name in ("header", "inferSchema"))
        return cls(header, infers, tuple(others))

    def format(self, names: Sequence[str]) -> Format:
        """The serde of the lines; `names` are those of the columns, in order."""
        return Format("csv", {"names": json.dumps(list(names)), **dict(self.for_serde)})

    def names(self, first: bytes, ddl: str | None) -> list[str]:
        """The names of the columns: from a schema, else from the header, else `_c0`, `_c1`...

        Args:
            first: the first line of a file.
            ddl: the schema that the user gives, if any.
        """
        if ddl is not None:
            return ddl_names(ddl)
        values = self.values(first)
        if not self.header:
            return [f"_c{at}" for at in range(len(values))]
        return [value or f"_c{at}" for at, value in enumerate(values)]

    def schema(self, names: Sequence[str], lines: Sequence[bytes]) -> pa.Schema:
        """The type of each column: STRING, or if `infers` the first that fits all of `lines`."""
        rows = [self.values(line) for line in lines] if self.infers else []
        rows = [row for row in rows if len(row) == len(names)]
        columns = [[row[at] or None for row in rows] for at in range(len(names))]
        return pa.schema(
            [(name, _type_of(column)) for name, column in zip(names, columns, strict=True)]
        )

    def values(self, line: bytes) -> list[str]:
        """The values of a line; no values if the line is not CSV."""
        given = dict(self.for_serde)
        quote, escape = given.get("quote", '"'), given.get("escape", "\\")
        reader = csv.reader(
            [line.decode(errors="replace")],
            delimiter=given.get("sep", ",").replace("\\t", "\t"),
            quotechar=quote,
            escapechar=None if escape == quote else escape,
        )
        try:
            return next(reader, [])
        except csv.Error:
            return []


def _is_true(parameters: Mapping[str, str], name: str) -> bool:
    value = parameters.get(name, "false").lower()
    if value not in ("true", "false"):
        raise ValueError(f"{name}={value}: true or false is expected")
    return value == "true"


def _type_of(texts: list[str | None]) -> pa.DataType:
    column = pa.array(texts, pa.string())
    if column.null_count == len(column):
        return pa.string()
    for kind in _TYPES:
        try:
            column.cast(kind)
        except pa.ArrowInvalid:
            continue
        return pa.timestamp("us", tz="UTC") if pa.types.is_timestamp(kind) else kind
    return pa.string()


def ddl_names(ddl: str) -> list[str]:
    """The names of the columns of a Spark DDL.

    >>> ddl_names("id STRING, `a, b` STRUCT<x: INT, y: DECIMAL(3, 1)>, t BIGINT")
    ['id', 'a, b', 't']
    """
    names, depth, quoted, start = list[str](), 0, False, 0
    for at, sign in enumerate(f"{ddl},"):
        quoted ^= sign == "`"
        if not quoted:
            depth += (sign in "<(") - (sign in ">)")
            if sign == "," and depth == 0:
                names.append(_first_name(ddl[start:at].strip()))
                start = at + 1
    return names


def _first_name(column: str) -> str:
    if column.startswith("`"):
        return column[1:].partition("`")[0]
    return column.replace(":", " ").split(maxsplit=1)[0] if column else ""


def read_below_header(file: BinaryIO, part: Part, rows: int) -> Iterator[Messages]:
    """The lines of a part in batches of up to `rows`, without the first line of the file."""
    is_first = part.start == 0
    for messages in read_lines(file, part, rows):
        below = messages
        if is_first and messages.error is None:
            below = messages._replace(
                positions=messages.positions[1:], payloads=messages.payloads[1:]
            )
        is_first = False
        if below.positions or below.error is not None:
            yield below
