"""GroupBys, events and a brute force over them, for property tests."""

from collections.abc import Callable
from statistics import fmean
from typing import Any

import declarations
from hypothesis import strategies as st

from chronon_beam.api import (
    Aggregation,
    Operation,
)

WINDOWS = declarations.windows("1h", "2h", "1d", "14d")
DDL = "user STRING, shop INT, d DOUBLE, i INT, s STRING, tags ARRAY<STRING>, created BIGINT"
BEGIN_MS = 1_700_000_000_000

Values = list[Any]

# Each is said once more, from the list of (time, value) pairs in order of arrival.
BRUTE: dict[Any, Callable[[list[tuple[int, Any]]], Any]] = {
    Operation.COUNT: len,
    Operation.SUM: lambda seen: sum(v for _, v in seen),
    Operation.AVERAGE: lambda seen: fmean(v for _, v in seen),
    Operation.VARIANCE: lambda seen: _variance([v for _, v in seen]),
    Operation.MIN: lambda seen: min(v for _, v in seen),
    Operation.MAX: lambda seen: max(v for _, v in seen),
    Operation.FIRST: lambda seen: min(seen, key=lambda pair: pair[0])[1],
    Operation.LAST: lambda seen: max(seen, key=lambda pair: pair[0])[1],
    Operation.FIRST_K: lambda seen: [v for _, v in sorted(seen, key=lambda p: p[0])[:2]],
    Operation.LAST_K: lambda seen: [v for _, v in sorted(seen, key=lambda p: -p[0])[:2]],
    Operation.TOP_K: lambda seen: sorted((v for _, v in seen), reverse=True)[:2],
    Operation.BOTTOM_K: lambda seen: sorted(v for _, v in seen)[:2],
    Operation.UNIQUE_COUNT: lambda seen: len({v for _, v in seen}),
}

_COLUMNS = {
    Operation.COUNT: ("s", "d", "tags"),
    Operation.SUM: ("d", "i"),
    Operation.AVERAGE: ("d", "i"),
    Operation.VARIANCE: ("d", "i"),
    Operation.MIN: ("d", "i", "s"),
    Operation.MAX: ("d", "i", "s"),
    Operation.FIRST: ("d", "s", "tags"),
    Operation.LAST: ("i", "s", "tags"),
    Operation.FIRST_K: ("s", "i"),
    Operation.LAST_K: ("s", "d"),
    Operation.TOP_K: ("d", "i"),
    Operation.BOTTOM_K: ("d", "s"),
    Operation.UNIQUE_COUNT: ("s", "i", "tags"),
}
_K = {Operation.FIRST_K, Operation.LAST_K, Operation.TOP_K, Operation.BOTTOM_K}


def _variance(values: Values) -> float:
    mean = fmean(values)
    return fmean((value - mean) ** 2 for value in values)


@st.composite
def aggregations(draw: st.DrawFn) -> list[Any]:
    chosen = draw(
        st.lists(
            st.sampled_from([(op, col) for op, cols in _COLUMNS.items() for col in cols]),
            min_size=1,
            max_size=4,
            unique=True,
        )
    )
    made = []
    for operation, column in chosen:
        windows = draw(st.lists(st.sampled_from(WINDOWS), min_size=1, max_size=2, unique=True))
        bucketed = column != "tags" and draw(st.integers(0, 4)) == 0
        buckets = ["s"] if bucketed and column != "s" else None
        made.append(
            Aggregation(column, operation(2) if operation in _K else operation, windows, buckets)
        )
    return made


def group_by_of(made: list[Any], dialect: str = "airbnb") -> Any:
    source = declarations.events(
        *("user", "shop", "d", "i", "s", "tags"),
        wheres=["user IS NOT NULL OR shop IS NOT NULL"],
        time_column="created",
    )
    keys = ["user", "shop"]
    return declarations.group_by("t.drawn", keys, made, sources=source, dialect=dialect)


@st.composite
def events(draw: st.DrawFn, most: int = 40) -> list[dict[str, Any]]:
    """Events out of order, each at its own time: ties are a matter of order of arrival."""
    span_ms = draw(st.sampled_from([600_000, 4 * 3_600_000, 3 * 86_400_000]))
    times = draw(st.lists(st.integers(0, span_ms), max_size=most, unique=True))
    return [{**draw(_one), "created": BEGIN_MS + ahead} for ahead in times]


_one = st.fixed_dictionaries(
    {
        "user": st.sampled_from(["ann", "böb", None]),
        "shop": st.sampled_from([1, 2, None]),
        "d": st.none() | st.integers(-64, 64).map(lambda n: n / 8),
        "i": st.none() | st.integers(-5, 5),
        "s": st.none() | st.sampled_from(["x", "y", "zé", "😀"]),
        "tags": st.none() | st.lists(st.sampled_from(["a", "b", "c"]), max_size=3),
    }
)


def brute_force(group_by: Any, drawn: list[dict[str, Any]], key: dict[str, Any], at_ms: int) -> Any:
    """Features of a key at a time, over all events."""
    mine = [e for e in drawn if e["user"] == key["user"] and e["shop"] == key["shop"]]
    features = {}
    for feature in group_by.features:
        part, window = feature.part, feature.part.window
        tail_ms = (at_ms - window.millis) // window.hop_ms * window.hop_ms
        seen = [e for e in mine if tail_ms <= e["created"] < at_ms]
        features[feature.name] = _value(part, seen)
    return features


def _value(part: Any, seen: list[dict[str, Any]]) -> Any:
    brute = BRUTE[part.operation]
    if part.bucket is None:
        pairs = _pairs(part, seen)
        return brute(pairs) if pairs else None
    by_bucket = {}
    for bucket in dict.fromkeys(e[part.bucket] for e in seen if e[part.bucket] is not None):
        pairs = _pairs(part, [e for e in seen if e[part.bucket] == bucket])
        if pairs:
            by_bucket[bucket] = brute(pairs)
    return by_bucket or None


def _pairs(part: Any, seen: list[dict[str, Any]]) -> list[tuple[int, Any]]:
    pairs = [(e["created"], e[part.input_column]) for e in seen]
    pairs = [(ts, value) for ts, value in pairs if value is not None]
    if part.input_column == "tags" and part.operation not in (Operation.FIRST, Operation.LAST):
        return [(ts, item) for ts, value in pairs for item in value]
    return pairs


def alike(ours: Any, theirs: Any) -> bool:
    """Equal; floats to 1e-9 of their size, as merging order changes the last bits."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(alike(ours[k], theirs[k]) for k in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(alike, ours, theirs))
    if isinstance(ours, float) and isinstance(theirs, (int, float)):
        return abs(ours - theirs) <= 1e-9 * max(abs(ours), abs(theirs), 1.0)
    return ours == theirs
