"""Messages to rows in one call, for a source whose promises are made of the rows' times.

A source that promises by event time has to know the times of a batch before it gives the batch out:
they are part of how far it has come. So its reading step calls the job's `Evaluation`, which does
what the steps Decode and Evaluate do, and gives rows instead of messages.

Several GroupBys may share one reading. Each has rows of its own, with times of their own, so each
has promises of its own, too: an event is late for a GroupBy exactly if it is late in a job that
computes this GroupBy alone. The watermark of the source is that of the slowest GroupBy.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from chronon_beam.api.counts import Count
from chronon_beam.api.records import Messages

if TYPE_CHECKING:  # what only asks for help need not wait for it
    import pyarrow as pa


class TimedRows(Protocol):
    """The rows of a GroupBy of one Messages, before its source has said what it had promised."""

    @property
    def positions(self) -> Sequence[int]:
        """Of the message that each row came from, see `Messages.positions`; one per row.

        A message that is filtered out or dead has no row, one with `explode` may have several.
        """
        ...

    @property
    def times_ms(self) -> "pa.Array":
        """The time of each row: int64 without nulls."""
        ...

    def outputs(self, promised_ms: "pa.Array") -> Iterator[Any]:
        """What the reading step is to yield: rows, and failures for the output `FAILURES`.

        Counts when it is iterated over.

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
        """Let go of what it holds."""


class StartEvaluation(Protocol):
    """Starts an `Evaluation` in a worker; can be pickled."""

    @property
    def counts(self) -> Sequence[Count]:
        """Where each GroupBy counts, in the order of its rows."""
        ...

    @property
    def tags(self) -> Sequence[str]:
        """The outputs that `TimedRows.outputs` name, besides the main one."""
        ...

    def __call__(self) -> Evaluation:
        """Start one, in the worker."""
        ...
