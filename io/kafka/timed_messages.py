"""Messages in the place of rows: for jobs whose reading step makes no rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from chronon_beam.api.evaluation import Evaluation, TimedRows
from chronon_beam.api.records import MIN_MS, Messages
from chronon_beam.io.kafka.promises import Ints, LogPart

_NONE = pa.array([], pa.int64())


@dataclass(frozen=True)
class TimedMessages:
    """Messages as `TimedRows`: each message is a row, with its record's own time."""

    messages: Messages
    record_ms: Ints

    @property
    def positions(self) -> list[int]:
        """The offsets."""
        return self.messages.positions

    @property
    def times_ms(self) -> pa.Array:
        """The records' times; `MIN_MS` where one has none."""
        return pa.array(np.where(self.record_ms < 0, MIN_MS, self.record_ms))

    def outputs(self, promised_ms: pa.Array) -> Iterator[Messages]:
        """The messages, each with the promise before it."""
        yield self.messages._replace(promised_ms=promised_ms)


def timed_rows(
    messages: Messages, part: LogPart, evaluate: Evaluation | None
) -> Sequence[TimedRows]:
    """The rows that each GroupBy makes of messages; without `evaluate`, the messages."""
    if evaluate is not None:
        return evaluate(messages)
    return [TimedMessages(messages, part.times_ms[part.indices(messages.positions)])]


def letter_outputs(letter: Messages, evaluate: Evaluation | None) -> Iterator[Any]:
    """What the reading step yields for Messages with an `error`."""
    if evaluate is None:
        return iter([letter])
    return chain.from_iterable(each.outputs(_NONE) for each in evaluate(letter))
