"""Dead letters of a template: each launch names the sink, and workers open it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from apache_beam.options.value_provider import ValueProvider

from chronon_beam.io.dead_letters.letter import MOST_BYTES, Letter
from chronon_beam.io.dead_letters.sinks import DeadLetters, LetterWriter, open_dead_letters


class LaunchedDeadLetters(DeadLetters):
    """Gives the letters to the sink that a launch names.

    Attributes:
        uri: the sink of the launch, see `open_dead_letters`.
        run: the id of the launch's run.
    """

    def __init__(self, uri: ValueProvider, run: ValueProvider) -> None:
        super().__init__()
        self.uri, self.run = uri, run

    def opener(self) -> "Callable[[], LetterWriter]":
        """See `DeadLetters.opener`."""
        return partial(_LaunchedWriter, self.uri, self.run)

    def read(self) -> Iterator[Letter]:
        """Raises ValueError: the sink is known to the workers of a launch only."""
        raise ValueError("the dead letters of a template are where its launches say")


def launched_sink(uri: str) -> DeadLetters:
    """The sink that a launch names, after it has answered; for use in workers.

    Raises:
        ValueError: `max_bytes`, or what `open_dead_letters` and `DeadLetters.reach` raise.
    """
    sink = open_dead_letters(uri)
    if sink.most_bytes != MOST_BYTES:
        raise ValueError(f"--dead_letters={uri}: a template's letters keep no other max_bytes")
    sink.reach()
    return sink


class _LaunchedWriter:
    def __init__(self, uri: ValueProvider, run: ValueProvider) -> None:
        self._run: str = run.get()
        self._writer = launched_sink(uri.get()).opener()()

    def write(self, letters: Sequence[Letter]) -> None:
        self._writer.write([self._of_run(each) for each in letters])

    def _of_run(self, letter: Letter) -> Letter:
        return letter._replace(origin=replace(letter.origin, run=self._run))

    def close(self) -> None:
        self._writer.close()
