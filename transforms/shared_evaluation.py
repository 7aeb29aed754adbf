"""Decode and Evaluate for several GroupBys that read the same messages.

A message is decoded once, with the columns of all GroupBys, and each GroupBy evaluates its query on
the columns that it reads. A GroupBy has the rows, dead letters and counts that it would have alone,
so a damaged value in a column that it does not read must not cost it the message. Therefore a batch
with a failure is decoded once more for each GroupBy, with its own columns.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput

from chronon_beam.api.counts import Count
from chronon_beam.api.records import Failure, Messages
from chronon_beam.api.serde import SerDe
from chronon_beam.transforms.decode import Decoding
from chronon_beam.transforms.evaluation import EvaluatedRows, StartRows
from chronon_beam.transforms.rows import Rows
from chronon_beam.transforms.spark.session import local_spark


class SharedRows(NamedTuple):
    """The rows of one of the GroupBys that share the reading; see `TimedRows`.

    Attributes:
        rows: the rows and failures of the GroupBy.
        sharer: the index of the GroupBy.
    """

    rows: EvaluatedRows
    sharer: int

    @property
    def positions(self) -> Sequence[int]:
        """See `TimedRows.positions`."""
        return self.rows.positions

    @property
    def times_ms(self) -> pa.Array:
        """See `TimedRows.times_ms`."""
        return self.rows.times_ms

    def outputs(self, promised_ms: pa.Array | None) -> Iterator[TaggedOutput]:
        """See `EvaluatedRows.outputs`; each output is tagged for its GroupBy."""
        for output in self.rows.outputs(promised_ms):
            if isinstance(output, TaggedOutput):
                yield TaggedOutput(failures_of(self.sharer), output.value)
            else:
                yield TaggedOutput(rows_of(self.sharer), output)


def rows_of(sharer: int) -> str:
    """The tag of the rows of one of the GroupBys."""
    return f"rows{sharer}"


def failures_of(sharer: int) -> str:
    """The tag of the failures of one of the GroupBys."""
    return f"failures{sharer}"


class SharedEvaluation:
    """Makes the rows of several GroupBys; see `Evaluation`.

    Args:
        start: has the serde, the schema, and the parts of each GroupBy.
    """

    def __init__(self, start: "StartShared") -> None:
        self._decode = Decoding(start.serde, start.schema)
        self._each = [each() for each in start.each]

    def __call__(self, messages: Messages) -> list[SharedRows]:
        """See `Evaluation`."""
        decoded = self._decode(messages)
        if decoded.failures and messages.error is None:
            found = [rows for each in self._each for rows in each(messages)]
        else:
            found = [each.of(decoded) for each in self._each]
        return [SharedRows(rows, sharer) for sharer, rows in enumerate(found)]

    def close(self) -> None:
        """Close all decoders."""
        for each in (self._decode, *self._each):
            each.close()


@dataclass(frozen=True)
class StartShared:
    """Starts a `SharedEvaluation`.

    Attributes:
        serde: decodes the messages.
        schema: the columns that any of the GroupBys reads.
        each: Decode and Evaluate of each GroupBy, by itself.
    """

    serde: SerDe
    schema: pa.Schema
    each: tuple[StartRows, ...]

    @property
    def counts(self) -> list[Count]:
        """See `StartEvaluation`."""
        return [each.count for each in self.each]

    @property
    def tags(self) -> list[str]:
        """See `StartEvaluation`: each GroupBy has two outputs, and the main one stays empty."""
        return [tag(sharer) for sharer in range(len(self.each)) for tag in (rows_of, failures_of)]

    def __call__(self) -> SharedEvaluation:
        """Compile all queries, in the worker. One JVM is started that can run all their setups."""
        local_spark(tuple(setup for each in self.each for setup in each.query.setups))
        return SharedEvaluation(self)


class RowsOf(NamedTuple):
    """The outputs for one GroupBy."""

    rows: beam.PCollection[Rows]
    failures: beam.PCollection[Failure]


def outputs_by_group_by(outputs: Any, start: StartShared) -> list[RowsOf]:
    """The outputs of a step whose tags are those of `start`, by GroupBy."""
    return [
        RowsOf(outputs[rows_of(sharer)], outputs[failures_of(sharer)])
        for sharer in range(len(start.each))
    ]


@dataclass
class DecodeAndEvaluate(beam.PTransform):
    """Messages to the rows of several GroupBys.

    Attributes:
        start: the serde, and the parts of each GroupBy.
    """

    start: StartShared

    def __post_init__(self) -> None:
        super().__init__()
        for each in (self.start, *self.start.each):
            each.serde.decoder(each.schema).close()  # raises for a column that it cannot read

    def expand(self, messages: beam.PCollection[Messages]) -> list[RowsOf]:
        """One batch of rows per batch of messages and GroupBy."""
        step = beam.ParDo(_DecodeAndEvaluateFn(self.start)).with_outputs(*self.start.tags)
        return outputs_by_group_by(messages | "Rows" >> step, self.start)


class _DecodeAndEvaluateFn(beam.DoFn):
    def __init__(self, start: StartShared) -> None:
        self._start = start

    def setup(self) -> None:
        self._evaluate = self._start()

    def process(self, messages: Messages) -> Iterator[Any]:
        for rows in self._evaluate(messages):
            yield from rows.outputs(None)

    def teardown(self) -> None:
        self._evaluate.close()
