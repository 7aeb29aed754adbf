"""The `file:` source: JSON lines, CSV, Avro and Parquet files by path, pattern or folder."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import apache_beam as beam
import pyarrow as pa

from chronon_beam.api.plugins import refuse_unknown
from chronon_beam.api.records import Messages
from chronon_beam.api.serde import Format
from chronon_beam.io.files.csv_lines import OPTIONS, CsvOptions
from chronon_beam.io.files.file_columns import csv_names, csv_schema, header_schema, json_schema
from chronon_beam.io.files.file_formats import (
    CSV_WITH_HEADER,
    FORMATS,
    NAMES,
    TEXT,
    format_of,
    is_compressed,
)
from chronon_beam.io.files.first_bytes import refuse_unlike_lines
from chronon_beam.io.files.identity import begins_with, file_units, open_stored
from chronon_beam.io.files.listing import folder_of, matching, partition_schema, taken_files
from chronon_beam.io.files.parts import Part
from chronon_beam.io.files.read_files import ReadFiles
from chronon_beam.io.sources import ARROW, JSON, Source
from chronon_beam.io.units import Unit
from chronon_beam.io.uri import local_path, parse_uri

ROWS = 1000
"""The most messages per batch."""

_LOOKED_AT = 20
"""How many files are looked into before a job starts."""


@dataclass
class FileSource(Source):
    """Reads the files that match `pattern`.

    Attributes:
        pattern: a path or glob, local or of any file system that Beam knows.
        file_format: one of `file_formats.NAMES`; None takes it from the names of the files.
        ddl: see `Source.ddl`.
        rows: the most messages per batch.
        chosen: what to read of these files; None reads all of them.
        csv: how values are written, for files that are CSV.
    """

    pattern: str
    file_format: str | None = None
    ddl: str | None = None
    rows: int = ROWS
    chosen: tuple[Unit, ...] | None = None
    csv: CsvOptions = field(default_factory=CsvOptions)
    attributes_first = True

    def __post_init__(self) -> None:
        if self.file_format not in (None, *NAMES):
            raise ValueError(
                f"format {self.file_format!r} is unknown: use one of {', '.join(NAMES)}"
            )

    @classmethod
    def from_uri(cls, uri: str) -> "FileSource":
        """The source of `file:PATH[?schema=DDL][&format=jsonl|csv|avro|parquet]`.

        CSV takes Spark's options too: `csv_lines.OPTIONS`.

        Raises:
            ValueError: a parameter or format is unknown, or the URI has no path.
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
        """The serde of the files' messages; may list the files, or read a CSV file's header."""
        match self._format():
            case "csv":
                return self.csv.format(csv_names(matching(self.pattern), self.csv, self.ddl))
            case "jsonl":
                return JSON
            case _:
                return ARROW

    def transform(self, columns: pa.Schema) -> beam.PTransform:
        """Reads the files; raises FileNotFoundError if none matches now (workers look again)."""
        names, partitions = tuple(columns.names), self.attributes()
        return ReadFiles(self.pattern, self._entry(), self.rows, names, self.chosen, partitions)

    def reach(self) -> None:
        """Look at the first bytes of some files; see `Source.reach`."""
        if self._format() in TEXT:
            for path in matching(self.pattern)[:_LOOKED_AT]:
                refuse_unlike_lines(path, json_objects=self._format() == "jsonl")

    def takes(self, paths: Sequence[str]) -> list[str]:
        """See `Source.takes`; two paths of the same file count as one file."""
        return taken_files(self.pattern, paths)

    def attributes(self) -> pa.Schema:
        """The columns in the names of folders, as in `ds=2024-01-01/`."""
        folder = folder_of(self.pattern)
        return partition_schema(folder, matching(self.pattern)) if folder else pa.schema([])

    def units(self) -> list[Unit]:
        """The files that match now; raises FileNotFoundError if none does."""
        return file_units(matching(self.pattern))

    def goes_on(self, read: Unit, now: Unit) -> bool:
        """See `Source.goes_on`: only a file of lines that is not compressed can grow."""
        may_grow = self._format() in TEXT and not is_compressed(now.path)
        return may_grow and begins_with(now.path, read)

    def of_units(self, units: Sequence[Unit]) -> "FileSource":
        """See `Source.of_units`."""
        return replace(self, chosen=tuple(units))

    def schema(self) -> pa.Schema:
        """The columns of the files' headers; of files without a header, of their first 1000 lines.

        Raises:
            FileNotFoundError: no file matches.
            ValueError: a file is not of the format, or two files have different columns.
        """
        paths = matching(self.pattern)
        match self._format():
            case "jsonl":
                return json_schema(paths, self.pattern)
            case "csv":
                return csv_schema(paths, self.csv, self.ddl)
            case file_format:
                return header_schema(paths, file_format)

    def head(self, columns: pa.Schema) -> Iterator[Messages]:
        """See `Source.head`; each file is opened when its messages are asked for."""
        read = FORMATS[self._entry()].read
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

    def _entry(self) -> str:
        """The name of the entry of `FORMATS` that reads the files."""
        file_format = self._format()
        return CSV_WITH_HEADER if file_format == "csv" and self.csv.header else file_format


def _with_wildcards(uri: str) -> str:
    """The URI, where a `?` that no parameter follows is a wildcard of the path."""
    location, *rest = uri.split("?")
    for text in rest:
        location += ("?" if re.match(r"\w+=", text) else "%3F") + text
    return location
