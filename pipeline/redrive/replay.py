"""Letters to rows, by the job's own functions, from the stage that each letter comes from.

payload of the letter     enters at
a message                 Decode
a decoded event (JSON)    Evaluate
a row (JSON)              where rows are tiled or converted
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import pyarrow as pa

from chronon_beam.api.records import Form, Messages
from chronon_beam.api.serde import Decoder
from chronon_beam.io.dead_letters.letter import Letter
from chronon_beam.io.sources import Source
from chronon_beam.pipeline.job import Job
from chronon_beam.pipeline.redrive.report import Fate, Verdict
from chronon_beam.transforms.decode import Events, decode_messages
from chronon_beam.transforms.evaluate import TIME, evaluator
from chronon_beam.transforms.rows import Rows
from chronon_beam.transforms.serdes.json import JsonSerDe
from chronon_beam.transforms.spark.compiled_query import compile_query
from chronon_beam.transforms.stage import Result

_BATCH = 1000


class Replayed(NamedTuple):
    """Rows of letters of one source.

    Attributes:
        letters: one per row; the rows of a letter come together.
        rows: positions are those of `position_of`.
        tile_size_ms: see `Failure.tile_size_ms`.
    """

    letters: list[Letter]
    rows: Rows
    tile_size_ms: int

    def without(self, letters: set[str]) -> "Replayed":
        """Without the rows of some letters, by their ids."""
        kept = [row for row, letter in enumerate(self.letters) if letter.id not in letters]
        batch = self.rows.batch.take(pa.array(kept, pa.int64()))
        positions = [self.rows.positions[row] for row in kept]
        rows = self.rows._replace(batch=batch, positions=positions)
        return self._replace(letters=[self.letters[row] for row in kept], rows=rows)


def position_of(letter: Letter) -> int:
    """The position of the rows of a letter.

    Rows of an event have the event's position, as they would have had in the job. A letter that is
    a single row gets a position of its own, since other rows of its event may be stored.
    """
    is_row = letter.failure.form is Form.ROW
    return int(letter.id[:15], 16) if is_row else letter.failure.position


class Replay:
    """The first stages of a job, for letters.

    Args:
        job: the job.
        source: where its messages come from.
    """

    def __init__(self, job: Job, source: Source) -> None:
        self._source = source
        self._changes = job.changes is not None
        self._query = job.query
        self._columns = job.columns
        self._decoder = job.serde.decoder(job.columns)
        self._json = JsonSerDe().decoder(job.columns)

    def replayed(self, letters: Sequence[Letter]) -> tuple[list[Replayed], list[Verdict]]:
        """The rows of letters, and verdicts for letters that have none."""
        evaluate = evaluator(self._query, self._changes)
        found: list[Replayed] = []
        verdicts: list[Verdict] = []
        for (form, _, tile_size_ms), part in _batches(letters):
            result = self._rows(form, part, evaluate)
            failed = {each.position: each.reason for each in result.failures}
            rows = result.batch
            verdicts += _without_rows(part, failed, set(rows.positions))
            of_rows = [part[index] for index in rows.positions]
            rows = rows._replace(positions=list(map(position_of, of_rows)))
            if of_rows:
                found.append(Replayed(of_rows, rows, tile_size_ms))
        return found, verdicts

    def close(self) -> None:
        """Close the serde's clients."""
        self._decoder.close()

    def _rows(
        self, form: Form, letters: list[Letter], evaluate: Callable[[Events], Result[Rows]]
    ) -> Result[Rows]:
        """Rows and failures, by the index of their letter."""
        if form is Form.ROW:
            return self._read_rows(letters)
        decoder: Decoder = self._decoder if form is Form.MESSAGE else self._json
        events, undecoded, _ = decode_messages(self._messages(letters), decoder)
        rows, unevaluated, counts = evaluate(events)
        return Result(rows, [*undecoded, *unevaluated], counts)

    def _messages(self, letters: list[Letter]) -> Messages:
        failures = [each.failure for each in letters]
        payloads = [each.payload for each in failures]
        attributes = self._source.attributes_again(failures)
        return Messages(
            failures[0].source, list(range(len(letters))), payloads, attributes=attributes
        )

    def _read_rows(self, letters: list[Letter]) -> Result[Rows]:
        schema = compile_query(self._query).schema
        time = schema.get_field_index(TIME)
        decoder = JsonSerDe().decoder(schema.set(time, pa.field(TIME, pa.int64())))
        messages = self._messages(letters)._replace(attributes=None)
        events, failures, _ = decode_messages(messages, decoder)
        return Result(Rows(events.batch, events.source, events.positions), failures)


def _batches(letters: Sequence[Letter]) -> Iterator[tuple[tuple[Form, str, int], list[Letter]]]:
    """Letters of one form, source and tile size at a time, in their order."""

    def kind(letter: Letter) -> tuple[Form, str, int]:
        return letter.failure.form, letter.failure.source, letter.failure.tile_size_ms

    for found, group in groupby(sorted(letters, key=kind), kind):
        members = list(group)
        for at in range(0, len(members), _BATCH):
            yield found, members[at : at + _BATCH]


def _without_rows(
    letters: list[Letter], failed: dict[int, str], with_rows: set[int]
) -> Iterator[Verdict]:
    for index, letter in enumerate(letters):
        if index in failed:
            yield Verdict(letter, Fate.REMAINING, failed[index])
        elif index not in with_rows:
            yield Verdict(letter, Fate.FILTERED)
