"""The seam for sinks of dead letters, which are opened by the scheme of a URI.

A sink subclasses `DeadLetters` and gets a scheme in `BUILT_IN`, or an entry point. The sink says
how to open a writer in a worker, and reads the letters that were written. This module makes letters
of failures, collects them and writes them in batches, for all sinks alike.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import apache_beam as beam

from chronon_beam.api.records import Failure
from chronon_beam.io.dead_letters.letter import MOST_BYTES, Letter, Origin, letter_of
from chronon_beam.io.uri import opener_of

BUILT_IN = {
    "file": "chronon_beam.io.dead_letters.file:FileDeadLetters.from_uri",
    "log": "chronon_beam.io.dead_letters.log:LogDeadLetters.from_uri",
    "kafka": "chronon_beam.io.dead_letters.kafka:KafkaDeadLetters.from_uri",
    "sqlite": "chronon_beam.io.dead_letters.sqlite:SqliteDeadLetters.from_uri",
}
GROUP = "chronon_beam.dead_letters"
"""Entry points of other packages: name = scheme, object = callable from URI to `DeadLetters`."""

_MOST_LETTERS = 1000
_MOST_BYTES = 4 << 20

Clock = Callable[[], float]
"""Seconds since the epoch."""


class LetterWriter(Protocol):
    """Writes letters, in one thread of a worker."""

    def write(self, letters: Sequence[Letter]) -> None:
        """Write all letters durably; an error fails the bundle.

        A bundle that failed is done again, so a letter may be written more than once.
        """
        ...

    def close(self) -> None:
        """Close clients."""
        ...


class DeadLetters(beam.PTransform, ABC):
    """A place for dead letters; as a transform, it takes Failures and gives nothing.

    Attributes:
        origin: the job in which the failures happen; set before the transform is applied.
        most_bytes: the most bytes of a payload that a letter keeps; see `letter`.
    """

    origin: Origin = Origin()
    most_bytes: int = MOST_BYTES

    def files(self) -> list[str]:
        """The local files that the sink writes, which need not exist yet."""
        return []

    def reach(self) -> None:
        """Find out whether letters can be written: called when a job is built.

        Raises:
            OSError: the service that keeps letters does not answer.
            ValueError: the service does not have the place, for example the topic.
        """

    @abstractmethod
    def opener(self) -> Callable[[], LetterWriter]:
        """A function that opens a writer in a worker; it must pickle."""

    @abstractmethod
    def read(self) -> Iterator[Letter]:
        """All letters that were written so far, in about the order in which they were written."""

    def expand(self, failures: beam.PCollection[Failure]) -> beam.PCollection[None]:
        """An empty PCollection."""
        return failures | "Keep" >> beam.ParDo(_KeepFn(self.opener(), self.origin, self.most_bytes))


def open_dead_letters(uri: str | None = None) -> DeadLetters:
    """The sink that `uri` names: `file:PATH`, `sqlite:PATH`, `kafka://HOST:PORT/TOPIC`, or another.

    Without a URI, the log.

    Raises:
        ValueError: unknown scheme or parameter, or a malformed URI.
        FileNotFoundError: the folder of the path does not exist.
        ImportError: the client library that the scheme needs is missing.
    """
    uri = "log:" if uri is None else uri
    return opener_of(uri, "dead-letter sink", BUILT_IN, GROUP)(uri)


def sink_failures(failures: Sequence[beam.PCollection[Failure]], sink: beam.PTransform) -> None:
    """Give the failures of several steps to one sink.

    `DeadLetters` are applied once per step, so that the runner fuses them with the step. The
    embedded runners would run one sink of all steps only after the last step, but a bounded job
    must stop at once if its dead letters cannot be written.
    """
    if not isinstance(sink, DeadLetters):
        _ = failures | beam.Flatten() | "DeadLetters" >> sink
        return
    for number, each in enumerate(failures):
        _ = each | f"DeadLetters{number}" >> sink


class _KeepFn(beam.DoFn):
    """Collects the failures of a bundle, and writes them as letters.

    Args:
        opener: see `DeadLetters.opener`.
        origin, most_bytes: see `DeadLetters`.
        clock: gives the time of a failure.
    """

    def __init__(
        self,
        opener: Callable[[], LetterWriter],
        origin: Origin,
        most_bytes: int = MOST_BYTES,
        clock: Clock = time.time,
    ) -> None:
        self._opener, self._origin = opener, origin
        self._most_bytes, self._clock = most_bytes, clock
        self._writer: LetterWriter | None = None

    def start_bundle(self) -> None:
        self._letters: list[Letter] = []
        self._bytes = 0

    def process(self, failure: Failure) -> None:
        failed_ms = int(self._clock() * 1000)
        letter = letter_of(failure, self._origin, failed_ms, self._most_bytes)
        self._letters.append(letter)
        self._bytes += min(letter.size, self._most_bytes)
        if len(self._letters) >= _MOST_LETTERS or self._bytes >= _MOST_BYTES:
            self._flush()

    def finish_bundle(self) -> None:
        self._flush()

    def teardown(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        if not self._letters:
            return
        if self._writer is None:  # most jobs have no letter, and open nothing
            self._writer = self._opener()
        self._writer.write(self._letters)
        self._letters, self._bytes = [], 0


def most_bytes_of(parameters: dict[str, str]) -> int:
    """The parameter `max_bytes`.

    Raises:
        ValueError: the value is not a positive number.
    """
    text = parameters.get("max_bytes", str(MOST_BYTES))
    if not text.isdecimal() or not int(text):
        raise ValueError(f"max_bytes={text}: how many bytes of a payload are kept is expected")
    return int(text)
