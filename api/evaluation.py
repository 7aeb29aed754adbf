"""From messages to rows in one call, for a source whose promises depend on the times of rows.

A source that promises by event time must know the times of a batch before it yields the batch: they
are part of the progress that it checkpoints. So the reading step of the source calls the job's
`Evaluation`, which does the work of the steps Decode and Evaluate, and yields rows, not messages.

Several GroupBys may share one reading. Each GroupBy has rows and times of its own, and so promises
of its own: an event is late for a GroupBy exactly if it is late in a job that computes this GroupBy
alone. The watermark of the source is the lowest of all GroupBys.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from chronon_beam.api.counts import Count
from chronon_beam.api.records import Messages

if TYPE_CHECKING:  # `--help` need not wait for the import of pyarrow
    import pyarrow as pa


class TimedRows(Protocol):
    """The rows that a GroupBy's query gives for one Messages; their promises are not known yet."""

    @property
    def positions(self) -> Sequence[int]:
        """The position of each row's message, see `Messages.positions`; one per row.

        A message has no row if it is filtered out or dead; with `explode` it may have several.
        """
        ...

    @property
    def times_ms(self) -> "pa.Array":
        """The time of each row: int64 without nulls."""
        ...

    def outputs(self, promised_ms: "pa.Array") -> Iterator[Any]:
        """What the reading step yields: rows, and failures for the output `FAILURES`.

        Iterating over it counts rows and failures.

        Args:
            promised_ms: what the partition had promised before the message that each row came
                from; int64, one per row.
        """
        ...


class Evaluation(Protocol):
    """Makes rows of Messages; used by one thread at a time."""

    def __call__(self, messages: Messages) -> Sequence[TimedRows]:
        """The rows of each GroupBy; the same each time for the same messages.

        Raises:
            OSError: a service that the serde needs does not answer; the messages can be tried
                again.
        """
        ...

    def close(self) -> None:
        """Close clients and other resources; called once."""


class StartEvaluation(Protocol):
    """Starts an `Evaluation` in a worker; can be pickled."""

    @property
    def counts(self) -> Sequence[Count]:
        """The count function of each GroupBy, in the order of `Evaluation`'s results."""
        ...

    @property
    def tags(self) -> Sequence[str]:
        """The outputs that `TimedRows.outputs` name, besides the main one."""
        ...

    def __call__(self) -> Evaluation:
        """Start one, in the worker."""
        ...
