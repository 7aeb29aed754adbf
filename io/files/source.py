"""The `file:` source: JSON lines, Avro and Parquet files by path or pattern.

Paths are those of Beam's file systems. Files, and the parts of large ones, are spread over the
workers; each is read in order, batch by batch, whatever its size.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import BinaryIO

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PBegin

from chronon_beam.api.plugins import refuse_unknown
from chronon_beam.api.records import Messages
from chronon_beam.api.serde import Format
from chronon_beam.io.files import parts
from chronon_beam.io.files.avro import avro_schema, read_avro
from chronon_beam.io.files.csv_lines import OPTIONS, CsvOptions, read_below_header
from chronon_beam.io.files.first_bytes import refuse_unlike_lines
from chronon_beam.io.files.identity import (
    begins_with,
    file_size,
    file_units,
    open_stored,
)
from chronon_beam.io.files.json_lines import (
    COMPRESSIONS,
    Damaged,
    chunks,
    infer_schema,
    read_lines,
    split_lines,
)
from chronon_beam.io.files.listing import (
    folder_of,
    matching,
    partition_batch,
    partition_schema,
    partition_values,
    taken,
)
from chronon_beam.io.files.parquet import parquet_schema, read_parquet
from chronon_beam.io.files.parts import Part, line_parts, parquet_parts
from chronon_beam.io.sources import ARROW, JSON, Source
from chronon_beam.io.units import Unit
from chronon_beam.io.uri import local_path, parse_uri

ROWS = 1000
"""The most messages a batch."""

_LOOKED_AT = 20
"""Files whose first bytes are looked at before a job starts."""

_SAMPLE = 1000
"""Lines that the schema of JSON lines is inferred from."""

_FORMATS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".avro": "avro",
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
}
_TEXT = ("jsonl", "csv")

Read = Callable[[BinaryIO, Part, int, Sequence[str]], Iterator[Messages]]
"""From a file: a part, in batches of so many messages; the columns that are wanted, if it can."""


def _read_lines(file: BinaryIO, part: Part, rows: int, _: Sequence[str]) -> Iterator[Messages]:
    return read_lines(file, part, rows)


def _read_below_header(
    file: BinaryIO, part: Part, rows: int, _: Sequence[str]
) -> Iterator[Messages]:
    return read_below_header(file, part, rows)


_READERS: dict[str, Read] = {
    "jsonl": _read_lines,
    "csv": _read_lines,
    "csv_with_header": _read_below_header,
    "avro": read_avro,
    "parquet": read_parquet,
}

_DIVIDERS: dict[str, Callable[[BinaryIO, Part, int], Iterator[Part]]] = {
    "jsonl": line_parts,
    "csv": line_parts,
    "csv_with_header": line_parts,
    "parquet": parquet_parts,
}

_NAMES = (*_TEXT, "avro", "parquet")

_SCHEMAS: dict[str, Callable[[BinaryIO], pa.Schema]] = {
    "avro": avro_schema,
    "parquet": parquet_schema,
}


@dataclass
class FileSource(Source):
    """Reads the files that match `pattern`.

    Attributes:
        pattern: a path or glob, local or of any file system that Beam knows.
        file_format: `jsonl`, `csv`, `avro` or `parquet`; None: told by the end of the files' names.
        ddl: see `Source.ddl`.
        rows: the most messages a batch.
        chosen: what to read of these files; None reads all of them.
        csv: how CSV is written.
    """

    pattern: str
    file_format: str | None = None
    ddl: str | None = None
    rows: int = ROWS
    chosen: tuple[Unit, ...] | None = None
    csv: CsvOptions = field(default_factory=CsvOptions)
    attributes_first = True

    def __post_init__(self) -> None:
        if self.file_format not in (None, *_NAMES):
            raise ValueError(
                f"format {self.file_format!r} is unknown: use one of {', '.join(_NAMES)}"
            )

    @classmethod
    def from_uri(cls, uri: str) -> "FileSource":
        """For `file:PATH[?schema=DDL][&format=jsonl|csv|avro|parquet]`, and Spark's CSV options.

        Raises:
            ValueError: an unknown parameter or format, or no path.
        """
        parsed = parse_uri(_with_wildcards(uri))
        refuse_unknown(parsed.parameters, ("schema", "format", *OPTIONS), "a file: source")
        path = local_path(parsed.location, uri)
        as_typed = uri.partition(":")[2].partition("?")[0]
        if os.path.exists(as_typed) and not os.path.exists(path):
            path = as_typed  # %3A is how Spark and Hive write a colon in a name
        given = dict(parsed.parameters)
        ddl, file_format = given.pop("schema", None), given.pop("format", None)
        source = cls(path, file_format, ddl, csv=CsvOptions.of(given))
        if given and source._format() != "csv":
            raise ValueError(
                f"{next(iter(given))}= is an option of CSV: {path} is not, by its name"
            )
        return source

    @property
    def format(self) -> Format:  # pyright: ignore[reportIncompatibleVariableOverride]
        """`JSON` for JSON lines, CSV's own, else `ARROW`; looks at the files if it must."""
        if self._format() == "csv":
            return self.csv.format(self._csv_names())
        return JSON if self._format() == "jsonl" else ARROW

    def _csv_names(self) -> list[str]:
        return self.csv.names(next(_sample(matching(self.pattern)), b""), self.ddl)

    def _csv_schema(self) -> pa.Schema:
        names = self._csv_names()
        lines = list(islice(_sample(matching(self.pattern)), _SAMPLE))
        return self.csv.schema(names, lines[1:] if self.csv.header else lines)

    def _reads(self) -> str:
        """The name of the reader."""
        file_format = self._format()
        return "csv_with_header" if file_format == "csv" and self.csv.header else file_format

    def transform(self, columns: pa.Schema) -> beam.PTransform:
        """Raises FileNotFoundError if nothing matches now; the workers look again."""
        names, partitions = tuple(columns.names), self.attributes()
        return ReadFiles(self.pattern, self._reads(), self.rows, names, self.chosen, partitions)

    def reach(self) -> None:
        """Look at the first bytes of some files; see `Source.reach`."""
        if self._format() not in _SCHEMAS:
            for path in matching(self.pattern)[:_LOOKED_AT]:
                refuse_unlike_lines(path, json_objects=self._format() == "jsonl")

    def takes(self, paths: Sequence[str]) -> list[str]:
        """See `Source.takes`: by what a file is, however the pattern and its path are written."""
        return taken(self.pattern, paths)

    def attributes(self) -> pa.Schema:
        """The columns that the names of folders tell, as in `ds=2024-01-01/`."""
        folder = folder_of(self.pattern)
        return partition_schema(folder, matching(self.pattern)) if folder else pa.schema([])

    def units(self) -> list[Unit]:
        """The files that match now; raises FileNotFoundError if nothing does."""
        return file_units(matching(self.pattern))

    def goes_on(self, read: Unit, now: Unit) -> bool:
        """See `Source.goes_on`: only lines that are not compressed can grow."""
        may_grow = self._format() in _TEXT and not is_compressed(now.path)
        return may_grow and begins_with(now.path, read)

    def of_units(self, units: Sequence[Unit]) -> "FileSource":
        """See `Source.of_units`."""
        return replace(self, chosen=tuple(units))

    def schema(self) -> pa.Schema:
        """What the files' headers tell; for JSON lines inferred from the first 1000 lines.

        Raises:
            FileNotFoundError: nothing matches.
            ValueError: a file is not of the format, or two have different columns.
        """
        paths = matching(self.pattern)
        file_format = self._format()
        if file_format == "jsonl":
            return _inferred(paths, self.pattern)
        if file_format == "csv":
            return self._csv_schema()
        schemas = [(path, _header_schema(path, file_format)) for path in paths]
        (first, schema), *others = schemas
        for path, other in others:
            if other != schema:
                raise ValueError(f"{first} and {path} differ: {_difference(schema, other)}")
        return schema

    def head(self, columns: pa.Schema) -> Iterator[Messages]:
        """See `Source.head`; each file is opened when its messages are asked for."""
        read = _READERS[self._reads()]
        for path in matching(self.pattern):
            with open_stored(path) as file:
                yield from read(file, Part(path), self.rows, columns.names)

    def _format(self) -> str:
        if self.file_format is not None:
            return self.file_format
        found = {format_of(path): path for path in matching(self.pattern)}
        if len(found) > 1:
            listed = ", ".join(f"{each} ({path})" for each, path in found.items())
            raise ValueError(f"{self.pattern} matches several formats: {listed}; narrow it")
        return next(iter(found))


@dataclass
class ReadFiles(beam.PTransform):
    """The columns of files that match `pattern`, or of the `chosen` units, to Messages."""

    pattern: str
    file_format: str
    rows: int
    columns: tuple[str, ...]
    chosen: tuple[Unit, ...] | None = None
    partitions: pa.Schema = field(default_factory=lambda: pa.schema([]))

    def __post_init__(self) -> None:
        super().__init__()
        matching(self.pattern)

    def expand(self, root: PBegin) -> beam.PCollection[Messages]:
        """Files that are not chosen are matched when the job runs: a template may run later."""
        chosen = self.chosen
        whole = [Part(self.pattern)] if chosen is None else [_part_of(unit) for unit in chosen]
        parts_of = matching_parts if chosen is None else _itself
        return (
            root
            | "Files" >> beam.Create(whole, reshuffle=False)
            | "Match" >> beam.FlatMap(parts_of)
            | "Divide" >> beam.ParDo(_PartsFn(self.file_format))
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(_ReadFn(self))
        )


class _PartsFn(beam.DoFn):
    def __init__(self, file_format: str) -> None:
        self._format = file_format

    def process(self, whole: Part) -> Iterator[Part]:
        path, divide = whole.path, _DIVIDERS.get(self._format)
        if divide is None or is_compressed(path):
            yield Part(path)
        elif whole.start == 0 and min(whole.stop, file_size(path)) <= parts.SIZE:
            yield whole
        else:
            with open_stored(path) as file:
                yield from divide(file, whole, parts.SIZE)


class _ReadFn(beam.DoFn):
    def __init__(self, read: ReadFiles) -> None:
        self._read = _READERS[read.file_format]
        self._rows = read.rows
        self._columns = read.columns
        self._folder = folder_of(read.pattern) or ""
        self._partitions = read.partitions

    def process(self, part: Part) -> Iterator[Messages]:
        with open_stored(part.path) as file:
            read = self._read(file, part, self._rows, self._columns)
            yield from read if not self._partitions.names else self._with_partitions(read, part)

    def _with_partitions(self, read: Iterator[Messages], part: Part) -> Iterator[Messages]:
        values = partition_values(self._folder, part.path)
        for messages in read:
            known = partition_batch(values, self._partitions, len(messages.positions))
            yield messages._replace(attributes=known)


def _with_wildcards(uri: str) -> str:
    """The URI with each `?` that begins no parameters as a part of the path: a wildcard."""
    location, *rest = uri.split("?")
    for text in rest:
        location += ("?" if re.match(r"\w+=", text) else "%3F") + text
    return location


def matching_parts(whole: Part) -> list[Part]:
    """Each file that the path of `whole`, a pattern, matches."""
    return [Part(path) for path in matching(whole.path)]


def _itself(part: Part) -> list[Part]:
    return [part]


def _part_of(unit: Unit) -> Part:
    return Part(unit.path, unit.start, unit.stop)


def is_compressed(path: str) -> bool:
    """Whether the end of the file's name says so."""
    return path.lower().endswith(COMPRESSIONS)


def format_of(path: str) -> str:
    """The format that the end of a file's name tells, also before `.gz`, `.bz2` or `.zst`.

    Raises:
        ValueError: it tells none.
    """
    lower = path.lower()
    for end in COMPRESSIONS:
        lower = lower.removesuffix(end)
    for end, file_format in _FORMATS.items():
        if lower.endswith(end) and (file_format in _TEXT or path.lower() == lower):
            return file_format
    raise ValueError(
        f"the format of {path} is not known from its name: add ?format={'|'.join(_NAMES)}"
    )


def _header_schema(path: str, file_format: str) -> pa.Schema:
    try:
        with open_stored(path) as file:
            return _SCHEMAS[file_format](file)
    except (ValueError, EOFError, pa.ArrowException) as error:
        raise ValueError(f"{path} cannot be read as {file_format}: {error}") from None


def _inferred(paths: list[str], pattern: str) -> pa.Schema:
    schema = infer_schema(islice(_sample(paths), _SAMPLE))
    if not len(schema):
        raise ValueError(
            f"no JSON object with a field in the first {_SAMPLE} lines of {pattern}: give the "
            "columns, as in ?schema=customer_id STRING, created BIGINT"
        )
    return schema


def _sample(paths: list[str]) -> Iterator[bytes]:
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
