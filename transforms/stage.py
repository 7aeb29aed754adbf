"""The shape of a stage: a batch goes in; a batch, failures and counts come out.

A stage is a function of one batch that gives a `Result`. `PerBatch` runs the function in Beam: it
counts, yields the batch on the main output, and yields the failures on the output `FAILURES`, which
leads to the dead letters. Stages that collect rows over a bundle yield by `emitted` as well.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from chronon_beam.api.counts import Count, Metric, dead, uncounted
from chronon_beam.api.records import FAILURES, Failure

Out = TypeVar("Out")


class Result(NamedTuple, Generic[Out]):
    """What a stage makes of one batch.

    Attributes:
        batch: what the next stage gets; None sends nothing.
        failures: messages or rows that cannot be used; each is counted as dead in its step.
        counts: numbers by the names of metrics, see `api.counts`.
    """

    batch: Out
    failures: Sequence[Failure] = ()
    counts: Mapping[str, int] = {}


class Outputs(NamedTuple, Generic[Out]):
    """The two outputs of a stage."""

    batches: beam.PCollection[Out]
    failures: beam.PCollection[Failure]


def outputs_of(step: Any) -> tuple[beam.PCollection[Any], beam.PCollection[Failure]]:
    """The main output of an applied step, and its failures; Beam's type for both is PValue."""
    main, failures = step
    return main, failures


def emitted(result: Result[Any], count: Count, repeated: bool = False) -> Iterator[Any]:
    """What a DoFn yields for `result`; counts while it is iterated over.

    Args:
        result: what the stage makes of a batch.
        count: where to count.
        repeated: whether the rows of the failures are counted as dead elsewhere already.
    """
    for name, number in result.counts.items():
        count(name, number)
    steps = Counter(failure.step for failure in result.failures)
    for step, number in steps.items():
        count(Metric.DEAD_REPEATED if repeated else dead(step), number)
    for failure in result.failures:
        yield TaggedOutput(FAILURES, failure)
    if result.batch is not None:
        yield result.batch


@dataclass
class PerBatch(beam.PTransform):
    """Batches to the batches and failures that a function makes of them.

    Attributes:
        start: makes the function, once per worker thread, for example by compiling a query.
        count: where to count.
    """

    start: Callable[[], Callable[[Any], Result[Any]]]
    count: Count = uncounted

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, batches: beam.PCollection[Any]) -> Outputs[Any]:
        """One batch at most per batch."""
        run = beam.ParDo(BatchFn(self.start, self.count))
        step = batches | "Batch" >> run.with_outputs(FAILURES, main="batches")
        return Outputs(*outputs_of(step))


class BatchFn(beam.DoFn):
    """Runs the function of a stage on each batch; see `PerBatch`."""

    def __init__(self, start: Callable[[], Callable[[Any], Result[Any]]], count: Count) -> None:
        self._start = start
        self._count = count

    def setup(self) -> None:
        """Make the function, in the worker."""
        self._run = self._start()

    def process(self, batch: Any) -> Iterator[Any]:
        """Yield what the function gives."""
        return emitted(self._run(batch), self._count)
