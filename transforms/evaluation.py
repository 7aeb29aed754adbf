"""Decode and Evaluate in one call, for the reading step of a source: see `api.evaluation`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from chronon_beam.api.counts import Count, uncounted
from chronon_beam.api.records import FAILURES, Messages
from chronon_beam.api.serde import SerDe
from chronon_beam.transforms.decode import Decoding, Events
from chronon_beam.transforms.evaluate import TIME, evaluator
from chronon_beam.transforms.rows import Rows
from chronon_beam.transforms.spark.query import SqlQuery
from chronon_beam.transforms.stage import Result, emitted

_NO_TIMES = pa.array([], pa.int64())


@dataclass(frozen=True)
class EvaluatedRows:
    """The results of the two steps for one Messages; see `TimedRows`.

    Attributes:
        decoded: the result of Decode.
        evaluated: the result of Evaluate; None if Decode gave no event.
        count: where to count.
    """

    decoded: Result[Events]
    evaluated: Result[Rows] | None
    count: Count

    @property
    def positions(self) -> list[int]:
        """See `TimedRows.positions`."""
        return self.evaluated.batch.positions if self.evaluated else []

    @property
    def times_ms(self) -> pa.Array:
        """See `TimedRows.times_ms`."""
        return self.evaluated.batch.batch.column(TIME) if self.evaluated else _NO_TIMES

    def outputs(self, promised_ms: pa.Array | None) -> Iterator[Any]:
        """See `TimedRows.outputs`; with None, rows keep the promises of their messages."""
        yield from emitted(self.decoded._replace(batch=None), self.count)
        if self.evaluated:
            rows = self.evaluated.batch
            if promised_ms is not None:
                rows = rows._replace(promised_ms=promised_ms)
            yield from emitted(self.evaluated._replace(batch=rows), self.count)


class RowEvaluation:
    """Decodes and evaluates Messages; see `Evaluation`.

    Args:
        start: has the serde, the schema and the query.
    """

    def __init__(self, start: "StartRows") -> None:
        self._decode = Decoding(start.serde, start.schema)
        self._evaluate = evaluator(start.query, start.changes)
        self._count = start.count

    def __call__(self, messages: Messages) -> tuple[EvaluatedRows]:
        """See `Evaluation`."""
        return (self.of(self._decode(messages)),)

    def of(self, decoded: Result[Events]) -> EvaluatedRows:
        """The rows of decoded events, which may have more columns than the query reads."""
        evaluated = self._evaluate(decoded.batch) if decoded.batch.positions else None
        return EvaluatedRows(decoded, evaluated, self._count)

    def close(self) -> None:
        """Close the decoder."""
        self._decode.close()


@dataclass(frozen=True)
class StartRows:
    """Starts a `RowEvaluation`; its attributes are those of `Decode` and `Evaluate`."""

    serde: SerDe
    schema: pa.Schema
    query: SqlQuery
    changes: bool = False
    count: Count = uncounted

    @property
    def counts(self) -> tuple[Count]:
        """See `StartEvaluation`."""
        return (self.count,)

    @property
    def tags(self) -> tuple[str]:
        """Rows leave by the main output."""
        return (FAILURES,)

    def __call__(self) -> RowEvaluation:
        """Compile the query, in the worker."""
        return RowEvaluation(self)
