"""A source that yields the batches that it is given: for tests, benchmarks and notebooks."""

from dataclasses import dataclass, field

import apache_beam as beam
import pyarrow as pa

from chronon_beam.api.records import Messages
from chronon_beam.api.serde import Format
from chronon_beam.io.sources import JSON, Source


@dataclass
class MemorySource(Source):
    """Yields `batches` in order, each as one element.

    Attributes:
        batches: the elements.
        known_schema: the result of `schema()`.
        ddl: see `Source.ddl`.
        format: see `Source.format`.
    """

    batches: list[Messages]
    known_schema: pa.Schema | None = None
    ddl: str | None = None
    format: Format = JSON
    bounded: bool = field(default=True, init=False)

    @classmethod
    def of_lines(
        cls, lines: list[bytes], rows: int = 1000, ddl: str | None = None
    ) -> "MemorySource":
        """The `lines` as one partition named `memory`, positions from 1, `rows` a batch."""
        batches = [
            Messages("memory", list(range(at + 1, at + 1 + len(part))), part)
            for at in range(0, len(lines), rows)
            if (part := lines[at : at + rows])
        ]
        return cls(batches, ddl=ddl)

    def transform(self, columns: pa.Schema) -> beam.PTransform:
        """Create, without a shuffle: order is kept."""
        return beam.Create(self.batches, reshuffle=False)

    def schema(self) -> pa.Schema | None:
        """The schema it was given."""
        return self.known_schema
