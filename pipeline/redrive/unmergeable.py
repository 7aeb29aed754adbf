"""Which letters do not fit the tiles that are stored: no write of them can ever succeed.

An example is a list of three elements for a tile of lists of two. Such letters remain, and must not
keep the others from being redriven.
"""

from collections.abc import Iterable, Iterator, Sequence

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.records import Correction, Form, PutRequest
from chronon_beam.io.dead_letters.letter import Letter
from chronon_beam.io.runs.before_images import UNMERGEABLE
from chronon_beam.io.write import failed_write
from chronon_beam.pipeline.redrive.replay import Replayed


def unmergeable(letter: Letter) -> bool:
    """Whether a write, which is this letter, has failed because the stored tile does not fit."""
    return UNMERGEABLE in letter.failure.reason


def unfit_letters(
    fallen: Iterable[Letter], replayed: Sequence[Replayed], plan: Plan
) -> dict[str, str]:
    """The letters with a row in a tile that could not be merged: the reasons by the letters' ids.

    Args:
        fallen: the dead letters of the run that stored the rows; only failed writes are looked at.
        replayed: the rows of all letters.
        plan: has the key columns.
    """
    found: dict[str, str] = {}
    for each in fallen:
        if each.failure.form is Form.REQUEST:
            write = failed_write(each.failure.payload)
            request = write.request if isinstance(write, Correction) else write
            for letter in _letters_of(request, replayed, plan):
                found.setdefault(letter.id, each.failure.reason)
    return found


def _letters_of(request: PutRequest, replayed: Sequence[Replayed], plan: Plan) -> Iterator[Letter]:
    begin_ms, size_ms = request.tile_start_ms, request.tile_size_ms
    for letters, rows, tile_size_ms in replayed:
        if tile_size_ms not in (0, size_ms):
            continue
        times = rows.batch.column("ts").to_pylist()
        columns = [rows.batch.column(name).to_pylist() for name in plan.keys.columns]
        keys = map(plan.keys.encode, zip(*columns, strict=True))
        for letter, ts_ms, key in zip(letters, times, keys, strict=True):
            if key == request.key_bytes and begin_ms <= ts_ms < begin_ms + size_ms:
                yield letter
