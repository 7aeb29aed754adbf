"""Corrections in a run that adds to the tiles of earlier ones."""

from declarations import plan_over_six_hours

from chronon_beam.api import Operation
from chronon_beam.api.records import Correction, Phase, PutRequest
from chronon_beam.io.kv_store import MemoryStore
from chronon_beam.io.runs.before_images import UNMERGEABLE, Adding, AddingWriter

PLAN = plan_over_six_hours("t.images", Operation.SUM)
DATASET, SIZE_MS = PLAN.group_by.streaming_dataset, PLAN.specs[0].size_ms


def tile(amount: float) -> bytes:
    accumulator = PLAN.aggregator.zero()
    PLAN.aggregator.update(accumulator, (amount,), 0)
    return PLAN.tiles.encode(accumulator)


def put(key: bytes, value: bytes) -> PutRequest:
    return PutRequest(key, value, DATASET, 0, 0, SIZE_MS)


def correction(key: bytes, amount: float, phase: Phase) -> Correction:
    return Correction(put(key, tile(amount)), phase, f"topic/0@{amount:g}")


CORRECTIONS = [
    correction(b"ann", 1, Phase.CLOSED),
    correction(b"bob", 2, Phase.OPEN),
    correction(b"bob", 3, Phase.CLOSED_FOR_GOOD),
    correction(b"eve", 4, Phase.CLOSED_FOR_GOOD),
]


def test_whole_tiles_are_merged_with_what_was_there_and_single_events_are_not() -> None:
    store = MemoryStore("before_images")
    store.create(DATASET)
    earlier = {b"ann": tile(100), b"bob": b"\xff", b"eve": tile(300)}
    store.multi_put([put(key, value) for key, value in earlier.items()])
    given: list[Correction] = []

    def correct(corrections: list[Correction]) -> list[str | None]:
        given.extend(corrections)
        return [None, None, "refused"]

    reasons = AddingWriter(store, PLAN, Adding("run")).correct(correct, CORRECTIONS)
    assert [each.request.value_bytes for each in given] == [tile(101), tile(3), tile(4)]
    assert [each.event for each in given] == ["topic/0@1", "topic/0@3", "topic/0@4"]
    assert (reasons[0], reasons[2:]) == (None, [None, "refused"])
    assert reasons[1] is not None
    assert reasons[1].startswith(UNMERGEABLE)
    MemoryStore.forget("before_images")
