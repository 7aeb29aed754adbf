"""Three ways to the same features: merged tumbling tiles, one sliding tile, plain rows."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from declarations import group_by, windows
from hypothesis import given, settings
from hypothesis import strategies as st

from chronon_beam.aggregator.layout import floor_to
from chronon_beam.aggregator.plan import Plan
from chronon_beam.aggregator.sawtooth import Sawtooth, TileFamily, WindowedRows
from chronon_beam.api import (
    Aggregation,
    Operation,
)
from chronon_beam.api.data_types import DOUBLE, STRING

HOUR_MS, DAY_MS = 3_600_000, 86_400_000


class Event(NamedTuple):
    ts_ms: int
    number: float | None
    text: str | None


GROUP_BY = group_by(
    "t.sawtooth",
    ["k"],
    [
        Aggregation("n", Operation.SUM, windows("1h", "23h", "24h", "1d", "12d")),
        Aggregation("n", Operation.AVERAGE, windows("2h")),
        Aggregation("n", Operation.MAX),
        Aggregation("n", Operation.COUNT, windows("12h"), ["s"]),
        Aggregation("s", Operation.LAST, windows("1h", "30d")),
        Aggregation("s", Operation.LAST_K(2), windows("2h")),
        Aggregation("s", Operation.UNIQUE_COUNT, windows("2d")),
    ],
)
TYPES = {"k": STRING, "n": DOUBLE, "s": STRING}
PLANS = {layout: Plan(GROUP_BY, TYPES, layout) for layout in ("tumbling", "sliding")}
FAMILIES = {
    layout: [(spec, plan.row_aggregator(spec)) for spec in plan.specs]
    for layout, plan in PLANS.items()
}
INPUTS = list(PLANS["tumbling"].inputs)
SAWTOOTH = Sawtooth(GROUP_BY, PLANS["tumbling"].aggregator.columns)
ROWS = WindowedRows(GROUP_BY, PLANS["tumbling"].inputs)


def row(event: Event) -> tuple[Any, ...]:
    values = {"n": event.number, "s": event.text}
    return tuple(values[name] for name in INPUTS)


def by_tiles(layout: str, events: list[Event], query_ms: int) -> dict[str, Any]:
    """Every event into all tiles that hold it, through their bytes, then read."""
    plan = PLANS[layout]
    tiles = {}
    for spec, aggregator in FAMILIES[layout]:
        for event in events:
            last = floor_to(event.ts_ms, spec.period_ms)
            for start_ms in range(last, last - spec.size_ms, -spec.period_ms):
                tile = tiles.setdefault((spec, start_ms), aggregator.zero())
                aggregator.update(tile, row(event), event.ts_ms)
    families = {}
    for spec in plan.specs:
        starts = sorted(start_ms for each, start_ms in tiles if each == spec)
        encoded = [plan.tiles.encode(tiles[spec, start_ms]) for start_ms in starts]
        families[spec.size_ms] = TileFamily(starts, encoded, plan.tiles.accumulators)
    return SAWTOOTH.of_tiles(families, plan.specs, query_ms)


def by_rows(events: list[Event], query_ms: int) -> dict[str, Any]:
    return ROWS.of_rows([(event.ts_ms, row(event)) for event in events], query_ms)


def total(events: list[Event]) -> float | None:
    numbers = [event.number for event in events if event.number is not None]
    return sum(numbers) if numbers else None


def average(events: list[Event]) -> float | None:
    numbers = [event.number for event in events if event.number is not None]
    return sum(numbers) / len(numbers) if numbers else None


def most(events: list[Event]) -> float | None:
    return max((event.number for event in events if event.number is not None), default=None)


def by_text(events: list[Event]) -> dict[str, int] | None:
    texts = [e.text for e in events if e.number is not None and e.text is not None]
    return {text: texts.count(text) for text in texts} or None


def last_texts(events: list[Event]) -> list[str]:
    return [e.text for e in sorted(events, key=lambda e: -e.ts_ms) if e.text is not None]


def brute_force(events: list[Event], query_ms: int) -> dict[str, Any]:
    """What the features are, without tiles, accumulators or codecs."""

    def of(hours: int | None, hop_ms: int, feature: Callable[[list[Event]], Any]) -> Any:
        tail = -math.inf if hours is None else (query_ms - hours * HOUR_MS) // hop_ms * hop_ms
        return feature([event for event in events if event.ts_ms >= tail])

    five_minutes = 300_000
    return {
        "n_sum_1h": of(1, five_minutes, total),
        "n_sum_23h": of(23, HOUR_MS, total),
        "n_sum_24h": of(24, HOUR_MS, total),
        "n_sum_1d": of(24, HOUR_MS, total),
        "n_sum_12d": of(12 * 24, DAY_MS, total),
        "n_average_2h": of(2, five_minutes, average),
        "n_max": of(None, 0, most),
        "n_count_12h_by_s": of(12, HOUR_MS, by_text),
        "s_last_1h": of(1, five_minutes, lambda events: next(iter(last_texts(events)), None)),
        "s_last_30d": of(30 * 24, DAY_MS, lambda events: next(iter(last_texts(events)), None)),
        "s_last2_2h": of(2, five_minutes, lambda events: last_texts(events)[:2] or None),
        "s_unique_count_2d": of(48, HOUR_MS, lambda es: len(set(last_texts(es))) or None),
    }


AGES = st.one_of(
    st.integers(1, 2 * HOUR_MS),
    st.integers(1, 40 * DAY_MS),
    st.sampled_from([1, 2, 12, 23, 24, 48]).flatmap(
        lambda hours: st.integers(-400_000, 400_000).map(lambda ms: hours * HOUR_MS + ms)
    ),
)
QUERIES = st.integers(-(10**11), 2 * 10**12) | st.integers(-500, 500).map(lambda n: n * 300_000)
NUMBERS = st.none() | st.integers(-1000, 1000).map(float)
TEXTS = st.none() | st.sampled_from(["x", "y", "é"])
EVENTS = st.lists(st.tuples(AGES, NUMBERS, TEXTS), max_size=6, unique_by=lambda drawn: drawn[0])


def same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
    return a == b


@given(EVENTS, QUERIES)
@settings(max_examples=1000)
def test_tiles_of_both_layouts_and_rows_give_what_brute_force_gives(
    drawn: list[tuple[int, float | None, str | None]], query_ms: int
) -> None:
    events = [Event(query_ms - age, number, text) for age, number, text in drawn]
    expected = brute_force(events, query_ms)
    found = {
        "tumbling": by_tiles("tumbling", events, query_ms),
        "sliding": by_tiles("sliding", events, query_ms),
        "rows": by_rows(events, query_ms),
    }
    for way, values in found.items():
        wrong = {n: (values[n], expected[n]) for n in expected if not same(values[n], expected[n])}
        assert not wrong, way
        assert values.keys() == expected.keys()


def test_tile_that_has_begun_counts_whole_and_rows_do_not() -> None:
    later = [Event(10_000, 1.0, "x"), Event(20_000, 2.0, "y")]
    assert by_tiles("tumbling", later, 15_000)["n_sum_1h"] == 3.0
    assert by_rows(later, 15_000)["n_sum_1h"] == 1.0


def test_tile_that_begins_at_the_query_does_not_count() -> None:
    assert by_tiles("tumbling", [Event(300_000, 1.0, "x")], 300_000)["n_sum_1h"] is None
    assert by_rows([Event(300_000, 1.0, "x")], 300_000)["n_sum_1h"] is None


def test_feature_without_events_is_null() -> None:
    expected = dict.fromkeys(feature.name for feature in GROUP_BY.features)
    assert by_tiles("tumbling", [], 0) == by_tiles("sliding", [], 0) == by_rows([], 0) == expected
