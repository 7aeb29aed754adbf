"""What is remembered of merged tiles changes no feature, is found again, and is bounded."""

from typing import NamedTuple

from declarations import group_by, windows
from hypothesis import given, settings
from hypothesis import strategies as st

from chronon_beam.aggregator.layout import floor_to
from chronon_beam.aggregator.merged_tiles import MergedKey, MergedTiles, merged_key, size_of
from chronon_beam.aggregator.plan import Plan
from chronon_beam.aggregator.row import Accumulator
from chronon_beam.aggregator.sawtooth import Sawtooth, TileFamily
from chronon_beam.api import Aggregation, Operation
from chronon_beam.api.data_types import DOUBLE, LONG, STRING, DataType, list_of

TILE_MS, QUERY_MS = 300_000, 21_600_000
BOTH = windows("1h", "6h")
OF_NUMBERS = [
    Operation.SUM,
    Operation.AVERAGE,
    Operation.VARIANCE,
    Operation.SKEW,
    Operation.KURTOSIS,
    Operation.MIN,
    Operation.MAX,
    Operation.TOP_K(3),
    Operation.BOTTOM_K(2),
    Operation.UNIQUE_COUNT,
    Operation.APPROX_UNIQUE_COUNT,
]
OF_TEXTS = [
    Operation.COUNT,
    Operation.FIRST,
    Operation.LAST,
    Operation.FIRST_K(2),
    Operation.LAST_K(3),
    Operation.UNIQUE_COUNT,
    Operation.BOUNDED_UNIQUE_COUNT(4),
    Operation.HISTOGRAM(2),
]
TYPES: dict[str, DataType] = {
    "k": STRING,
    "n": DOUBLE,
    "i": LONG,
    "s": STRING,
    "t": STRING,
    "l": list_of(LONG),
}
GROUP_BY = group_by(
    "t.merged",
    ["k"],
    [
        *(Aggregation("n", each, BOTH) for each in OF_NUMBERS),
        *(Aggregation("s", each, BOTH) for each in OF_TEXTS),
        Aggregation("i", Operation.SUM, BOTH, ["s"]),
        Aggregation("n", Operation.LAST_K(2), BOTH, ["s"]),
        Aggregation("l", Operation.TOP_K(2), BOTH),
        Aggregation("t", Operation.HISTOGRAM, BOTH),
    ],
)
PLAN = Plan(GROUP_BY, TYPES)
SIZE_MS = PLAN.specs[0].size_ms


class Event(NamedTuple):
    ts_ms: int
    number: float | None
    text: str | None


EVENTS = st.builds(
    Event,
    st.integers(0, QUERY_MS - 1),
    st.none() | st.floats(-1e9, 1e9, width=32),
    st.none() | st.sampled_from([f"text{number}" for number in range(30)]),
)


def add(tiles: dict[int, Accumulator], events: list[Event]) -> None:
    for event in events:
        number, text = event.number, event.text
        of_event = {"n": number, "i": event.ts_ms, "s": text, "t": text, "l": [event.ts_ms % 7]}
        tile = tiles.setdefault(floor_to(event.ts_ms, SIZE_MS), PLAN.aggregator.zero())
        row = [of_event[name] for name in PLAN.inputs]
        PLAN.aggregator.update(tile, row, event.ts_ms)


def features(sawtooth: Sawtooth, tiles: dict[int, Accumulator]) -> str:
    """As text, so that bits of floats and orders of maps count."""
    encoded = [PLAN.tiles.encode(tiles[start_ms]) for start_ms in sorted(tiles)]
    family = TileFamily(sorted(tiles), encoded, PLAN.tiles.accumulators)
    return repr(sawtooth.of_tiles({SIZE_MS: family}, PLAN.specs, QUERY_MS))


@given(st.lists(st.lists(EVENTS, max_size=40), min_size=1, max_size=4))
@settings(max_examples=40)
def test_features_are_the_same_whether_merged_tiles_are_remembered(batches):
    columns = PLAN.aggregator.columns
    fresh, remembering = (
        Sawtooth(GROUP_BY, columns, each) for each in (None, MergedTiles(1 << 20, at_least=2))
    )
    tiles: dict[int, Accumulator] = {}
    for events in batches:  # of any time: late ones change tiles that were merged
        add(tiles, events)
        for _ in range(2):
            assert features(remembering, tiles) == features(fresh, tiles)


def test_tiles_are_merged_again_only_if_one_before_the_last_has_changed():
    merged = MergedTiles(1 << 20)
    sawtooth = Sawtooth(GROUP_BY, PLAN.aggregator.columns, merged)
    tiles: dict[int, Accumulator] = {}
    add(tiles, [Event(at_ms, 1.0, "x") for at_ms in range(0, QUERY_MS, TILE_MS)])
    features(sawtooth, tiles)
    assert (merged.hits, merged.misses) == (0, 2)  # one per window
    add(tiles, [Event(QUERY_MS - 1, 2.0, "y")])
    features(sawtooth, tiles)
    assert (merged.hits, merged.misses) == (2, 2)
    add(tiles, [Event(1, 3.0, "late")])
    features(sawtooth, tiles)
    assert (merged.hits, merged.misses) == (3, 3)  # the longer window alone has this tile


def test_readers_and_borders_of_tiles_tell_keys_apart():
    keys = {
        merged_key("a", b"", [b"12", b"3"]),
        merged_key("a", b"", [b"1", b"23"]),
        merged_key("a", b"12", [b"3"]),
        merged_key("b", b"", [b"12", b"3"]),
    }
    assert len(keys) == 4


def test_the_least_recently_used_irs_leave_when_memory_is_full():
    def key(number: int) -> MergedKey:
        return MergedKey("reader", bytes((number,)))

    irs: list[object] = [["a text"] * 10, {"key": (1, b"bytes")}]
    one = MergedTiles(1 << 20)
    one.put(key(0), irs)
    merged = MergedTiles(3 * one.held_bytes)
    for number in range(3):
        merged.put(key(number), irs)
    merged.put(key(2), irs)
    merged.get(key(0))
    merged.put(key(3), irs)
    assert [merged.get(key(number)) for number in range(4)] == [irs, None, irs, irs]
    assert merged.held_bytes == 3 * one.held_bytes > 3 * size_of(irs)
    merged.put(key(9), [list(range(100_000))])
    assert merged.held_bytes == 0
