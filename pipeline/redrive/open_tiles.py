"""Which rows of letters must wait: those of tiles that a live job may write again from its state.

If a redrive added a row to such a tile, the job's next write would overwrite the tile without the
row. A tile is safe once it is closed for good: from then on the job, too, merges late events into
the stored tile. The tiles that the job has closed show how far it has come.
"""

from collections.abc import Sequence

from chronon_beam.aggregator.layout import floor_to
from chronon_beam.aggregator.plan import Plan
from chronon_beam.io.kv_store import KVStore
from chronon_beam.pipeline.redrive.replay import Replayed
from chronon_beam.pipeline.redrive.report import Fate, Verdict

MARGIN_MS = 60 * 60 * 1000
"""How far past the end of a tile the job must have come. A job that is restored from an earlier
checkpoint closes tiles again."""

WAITS = (
    "its tile may still be open in the live job: redrive it once the job has closed a tile that "
    "ends an hour later, or with --existing=merge if the job has ended for good"
)


def closed_ms(store: KVStore, plan: Plan) -> dict[int, int]:
    """The end of the last tile that the job has closed, by tile size."""
    found: dict[int, int] = {}
    for stored in store.scan(plan.group_by.streaming_dataset):
        size_ms, end_ms = stored.tile_size_ms, stored.value.ts_ms + stored.tile_size_ms
        if (
            end_ms > found.get(size_ms, end_ms - 1)
            and plan.tiles.decode(stored.value.value_bytes)[1]
        ):
            found[size_ms] = end_ms
    return found


def waiting(
    replayed: Sequence[Replayed], plan: Plan, closed: dict[int, int], lateness_ms: int
) -> list[Verdict]:
    """Verdicts for the letters of which a row must wait."""
    verdicts: dict[str, Verdict] = {}
    for letters, rows, tile_size_ms in replayed:
        for letter, ts_ms in zip(letters, rows.batch.column("ts").to_pylist(), strict=True):
            for spec in plan.specs:
                end_ms = floor_to(ts_ms, spec.period_ms) + spec.size_ms
                known = closed.get(spec.size_ms)
                waits = known is None or known < end_ms + lateness_ms + MARGIN_MS
                if waits and tile_size_ms in (0, spec.size_ms):
                    verdicts[letter.id] = Verdict(letter, Fate.REMAINING, WAITS)
    return list(verdicts.values())
