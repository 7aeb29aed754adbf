"""Reads files in a job: workers share the files, and the parts of large ones.

Each part is read in order, batch by batch, so a file may be of any size.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import PBegin

from chronon_beam.api.records import Messages
from chronon_beam.io.files import parts
from chronon_beam.io.files.file_formats import FORMATS, is_compressed
from chronon_beam.io.files.identity import file_size, open_stored
from chronon_beam.io.files.listing import folder_of, matching, partition_batch, partition_values
from chronon_beam.io.files.parts import Part
from chronon_beam.io.units import Unit


@dataclass
class ReadFiles(beam.PTransform):
    """Reads the files that match a pattern, or the `chosen` units of them.

    Attributes:
        pattern: a path or glob, local or of any file system that Beam knows.
        file_format: a name of `FORMATS`.
        rows: the most messages per batch.
        columns: the names of the columns that the job reads.
        chosen: what to read of these files; None reads all of them.
        partitions: the columns in the names of folders.
    """

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
        """Messages of files; the pattern is matched in the job, since a template runs later."""
        chosen = self.chosen
        whole = [Part(self.pattern)] if chosen is None else [_part_of(unit) for unit in chosen]
        parts_of = _matching_parts if chosen is None else _itself
        return (
            root
            | "Files" >> beam.Create(whole, reshuffle=False)
            | "Match" >> beam.FlatMap(parts_of)
            | "Divide" >> beam.ParDo(_DivideFn(self.file_format))
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(_ReadPartFn(self))
        )


def _matching_parts(whole: Part) -> list[Part]:
    """Each file that the path of `whole`, a pattern, matches."""
    return [Part(path) for path in matching(whole.path)]


def _itself(part: Part) -> list[Part]:
    return [part]


def _part_of(unit: Unit) -> Part:
    return Part(unit.path, unit.start, unit.stop)


class _DivideFn(beam.DoFn):
    def __init__(self, file_format: str) -> None:
        self._format = file_format

    def process(self, whole: Part) -> Iterator[Part]:
        path, divide = whole.path, FORMATS[self._format].divide
        if divide is None or is_compressed(path):
            yield Part(path)
        elif whole.start == 0 and min(whole.stop, file_size(path)) <= parts.SIZE:
            yield whole
        else:
            with open_stored(path) as file:
                yield from divide(file, whole, parts.SIZE)


class _ReadPartFn(beam.DoFn):
    def __init__(self, files: ReadFiles) -> None:
        self._read = FORMATS[files.file_format].read
        self._rows = files.rows
        self._columns = files.columns
        self._folder = folder_of(files.pattern) or ""
        self._partitions = files.partitions

    def process(self, part: Part) -> Iterator[Messages]:
        with open_stored(part.path) as file:
            read = self._read(file, part, self._rows, self._columns)
            yield from read if not self._partitions.names else self._with_partitions(read, part)

    def _with_partitions(self, read: Iterator[Messages], part: Part) -> Iterator[Messages]:
        values = partition_values(self._folder, part.path)
        for messages in read:
            known = partition_batch(values, self._partitions, len(messages.positions))
            yield messages._replace(attributes=known)
