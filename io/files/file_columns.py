"""The columns of files, from their headers or from a sample of their lines."""

from collections.abc import Iterator, Sequence
from itertools import islice

import pyarrow as pa

from chronon_beam.api.formats.inferred_schema import infer_schema
from chronon_beam.io.files.csv_lines import CsvOptions
from chronon_beam.io.files.file_formats import FORMATS
from chronon_beam.io.files.identity import open_stored
from chronon_beam.io.files.json_lines import Damaged, chunks, split_lines
from chronon_beam.io.files.parts import Part

_SAMPLE = 1000
"""How many lines are looked at to find out the types of columns."""


def header_schema(paths: Sequence[str], file_format: str) -> pa.Schema:
    """The columns in the headers of all `paths`.

    Raises:
        ValueError: a file is not of the format, or two files have different columns.
    """
    schemas = [(path, _of_header(path, file_format)) for path in paths]
    (first, schema), *others = schemas
    for path, other in others:
        if other != schema:
            raise ValueError(f"{first} and {path} differ: {_difference(schema, other)}")
    return schema


def json_schema(paths: Sequence[str], pattern: str) -> pa.Schema:
    """The columns that the first lines of JSON files have; `pattern` names the files in errors.

    Raises:
        ValueError: no line is a JSON object with a field.
    """
    schema = infer_schema(islice(_lines(paths), _SAMPLE))
    if not len(schema):
        raise ValueError(
            f"no JSON object with a field in the first {_SAMPLE} lines of {pattern}: give the "
            "columns, as in ?schema=customer_id STRING, created BIGINT"
        )
    return schema


def csv_names(paths: Sequence[str], csv: CsvOptions, ddl: str | None) -> list[str]:
    """The names of the columns of CSV files, in order; see `CsvOptions.names`."""
    return csv.names(next(_lines(paths), b""), ddl)


def csv_schema(paths: Sequence[str], csv: CsvOptions, ddl: str | None) -> pa.Schema:
    """The columns of CSV files; see `CsvOptions.schema`."""
    lines = list(islice(_lines(paths), _SAMPLE))
    return csv.schema(csv_names(paths, csv, ddl), lines[1:] if csv.header else lines)


def _of_header(path: str, file_format: str) -> pa.Schema:
    schema = FORMATS[file_format].schema
    assert schema is not None, file_format
    try:
        with open_stored(path) as file:
            return schema(file)
    except (ValueError, EOFError, pa.ArrowException) as error:
        raise ValueError(f"{path} cannot be read as {file_format}: {error}") from None


def _lines(paths: Sequence[str]) -> Iterator[bytes]:
    """The lines of all files in turn; a damaged file gives its lines before the damage."""
    for path in paths:
        with open_stored(path) as file:
            try:
                yield from split_lines(chunks(file, Part(path)))
            except Damaged:
                continue


def _difference(schema: pa.Schema, other: pa.Schema) -> str:
    for name in dict.fromkeys([*schema.names, *other.names]):
        types = [
            str(each.field(name).type) if name in each.names else "missing"
            for each in (schema, other)
        ]
        if types[0] != types[1]:
            return f"column {name!r} is {types[0]} in one, {types[1]} in the other; give ?schema="
    return "their columns are in another order; give ?schema="
