"""Logs dead letters, for jobs without a place to keep them.

The log has one line per batch and cause (step and class of the error): the reason of the first
letter, and how many letters there are. If a cause goes on, the log has one line per minute for it.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from chronon_beam.api.plugins import refuse_unknown
from chronon_beam.io.dead_letters.letter import Letter
from chronon_beam.io.dead_letters.sinks import Clock, DeadLetters
from chronon_beam.io.uri import parse_uri

_log = logging.getLogger(__name__)

Cause = tuple[str, str]
"""Step, and class of the error."""


class LogDeadLetters(DeadLetters):
    """Logs letters, and keeps none."""

    @classmethod
    def from_uri(cls, uri: str) -> "LogDeadLetters":
        """For `log:`."""
        refuse_unknown(parse_uri(uri).parameters, (), "log: dead letters")
        return cls()

    def opener(self) -> "Callable[[], LogWriter]":
        """See `DeadLetters.opener`."""
        return LogWriter

    def read(self) -> Iterator[Letter]:
        """Raises ValueError: the log keeps no letters."""
        raise ValueError("the log keeps no dead letters: keep them with --dead_letters=file:PATH")


class LogWriter:
    """Logs letters, within the rate limit of this process."""

    def write(self, letters: Sequence[Letter]) -> None:
        """At most one line per cause."""
        for line in _limit.lines(letters):
            _log.warning("%s; keep them with --dead_letters=file:PATH", line)

    def close(self) -> None:
        """Nothing is open."""


@dataclass
class RateLimit:
    """Limits the log: a line for each of the first batches with a cause, then one per period.

    Attributes:
        first: how many batches are logged at once.
        period_s: seconds between two further lines.
        clock: gives seconds.
    """

    first: int = 3
    period_s: float = 60.0
    clock: Clock = time.monotonic
    _batches: Counter[Cause] = field(default_factory=Counter)
    _unlogged: Counter[Cause] = field(default_factory=Counter)
    _logged_s: dict[Cause, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def lines(self, letters: Sequence[Letter]) -> list[str]:
        """What to log of a batch."""
        samples: dict[Cause, Letter] = {}
        numbers: Counter[Cause] = Counter()
        for letter in letters:
            cause = letter.failure.step, letter.error
            samples.setdefault(cause, letter)
            numbers[cause] += 1
        with self._lock:
            return [
                line
                for cause, number in numbers.items()
                if (line := self._line(cause, number, samples[cause])) is not None
            ]

    def _line(self, cause: Cause, number: int, letter: Letter) -> str | None:
        self._batches[cause] += 1
        self._unlogged[cause] += number
        now_s = self.clock()
        logged_s = self._logged_s.get(cause, 0.0)
        if self._batches[cause] > self.first and now_s - logged_s < self.period_s:
            return None
        self._logged_s[cause] = now_s
        others = self._unlogged.pop(cause) - 1
        more = f" (and {others:,} more of this kind since the last such line)" if others else ""
        failure = letter.failure
        where = f"{failure.source} at {failure.position}"
        return f"dead letter from {failure.step}, {where}: {failure.reason}{more}"


_limit = RateLimit()
