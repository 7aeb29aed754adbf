"""GroupBys that change across savepoints: taken over exactly, or refused by name."""

from dataclasses import dataclass, replace
from typing import Any

import declarations
import pytest
from changing import ChangingJob, features_of, fetched, query_times, rows_of
from drawing import alike, events
from hypothesis import given, settings
from hypothesis import strategies as st
from test_pure_stages import TYPES

from chronon_beam.api import Aggregation, GroupByError, Operation
from chronon_beam.api.data_types import LONG
from chronon_beam.io.kv_store import MemoryStore

COLUMNS: dict[Any, str] = {
    Operation.COUNT: "s",
    Operation.SUM: "i",
    Operation.AVERAGE: "d",
    Operation.VARIANCE: "i",
    Operation.SKEW: "d",
    Operation.KURTOSIS: "d",
    Operation.MIN: "d",
    Operation.MAX: "s",
    Operation.FIRST: "i",
    Operation.LAST: "tags",
    Operation.FIRST_K: "s",
    Operation.LAST_K: "i",
    Operation.TOP_K: "d",
    Operation.BOTTOM_K: "s",
    Operation.UNIQUE_COUNT: "tags",
    Operation.APPROX_UNIQUE_COUNT: "i",
    Operation.APPROX_PERCENTILE: "d",
    Operation.HISTOGRAM: "s",
}
ONLY = {
    "airbnb": {Operation.APPROX_HISTOGRAM_K: "s", Operation.BOUNDED_UNIQUE_COUNT: "i"},
    "zipline": {
        Operation.APPROX_FREQUENT_K: "s",
        Operation.APPROX_HEAVY_HITTERS_K: "s",
        Operation.UNIQUE_TOP_K: "i",
    },
}
TAKES_K = {
    *(Operation.FIRST_K, Operation.LAST_K, Operation.TOP_K, Operation.BOTTOM_K),
    Operation.APPROX_UNIQUE_COUNT,
    *ONLY["airbnb"],
    *ONLY["zipline"],
}
BUCKETED = {Operation.SUM, Operation.AVERAGE, Operation.MIN, Operation.FIRST, Operation.TOP_K}
WINDOWS = ["1h", "2h", "6h", "1d", "14d"]


@dataclass(frozen=True)
class One:
    """One aggregation."""

    operation: Any
    column: str
    windows: tuple[str, ...]
    bucket: str | None
    k: int

    def declared(self) -> Any:
        windows = declarations.windows(*self.windows)
        buckets = [self.bucket] if self.bucket else None
        return Aggregation(self.column, self._chosen(), windows, buckets)

    def _chosen(self) -> Any:
        """The operation with its arguments, for which the few values of a test are exact."""
        if self.operation is Operation.APPROX_PERCENTILE:
            return self.operation([0, 0.5, 1], k=20 * self.k)
        return self.operation(self.k) if self.operation in TAKES_K else self.operation


@dataclass(frozen=True)
class Declared:
    """A GroupBy, and the type of its column `i`."""

    dialect: str
    ones: tuple[One, ...]
    keys: tuple[str, ...] = ("user", "shop")
    wheres: tuple[str, ...] = ()
    selects: tuple[tuple[str, str], ...] = ()
    long: bool = False

    @property
    def types(self) -> Any:
        return {**TYPES, "i": LONG} if self.long else TYPES

    def group_by(self) -> Any:
        columns, expressions = ("user", "shop", "d", "i", "s", "tags"), dict(self.selects)
        plain = [name for name in columns if name not in expressions]
        source = declarations.events(
            *plain, wheres=self.wheres, time_column="created", **expressions
        )
        made = [one.declared() for one in self.ones]
        return declarations.group_by(
            "t.changing", list(self.keys), made, sources=source, dialect=self.dialect
        )


@st.composite
def aggregation(draw: st.DrawFn, dialect: str) -> One:
    operation, column = draw(st.sampled_from([*COLUMNS.items(), *ONLY[dialect].items()]))
    lengths = draw(st.lists(st.sampled_from(WINDOWS), min_size=1, max_size=2, unique=True))
    # In a bucket, a skewness without spread is NaN, which is not equal to itself.
    bucketed = operation in BUCKETED and draw(st.integers(0, 3)) == 0
    return One(operation, column, tuple(lengths), "s" if bucketed else None, 12)


@st.composite
def changed(draw: st.DrawFn, was: Declared) -> Declared:
    """The GroupBy with one thing changed."""
    ones, at = was.ones, draw(st.integers(0, len(was.ones) - 1))
    one, rest = ones[at], ones[:at] + ones[at + 1 :]
    kind = draw(st.sampled_from(["add", "add", "remove", "turn", "window", "window", "k", "other"]))
    if kind == "add":
        new = draw(aggregation(was.dialect))
        same = [each for each in ones if each.operation is new.operation]
        return was if same else replace(was, ones=(*ones[:at], new, *ones[at:]))
    if kind == "window":
        lengths = draw(st.lists(st.sampled_from(WINDOWS), min_size=1, max_size=3, unique=True))
        return replace(was, ones=(*rest, replace(one, windows=tuple(lengths))))
    if kind in ("remove", "turn", "k"):
        turned, others = ones[::-1], (*rest, replace(one, k=10))
        return replace(was, ones={"remove": rest or ones, "turn": turned, "k": others}[kind])
    return draw(st.sampled_from([replace(was, **other) for other in OTHERS]))


OTHERS: list[dict[str, Any]] = [
    {"keys": ("user",)},
    {"wheres": ("d > 0",)},
    {"long": True},
    {"selects": (("d", "d * 2"),)},
    {"selects": (("more", "upper(s)"),)},
    {"selects": (("tag", "explode(tags)"),)},
]


class Model:
    """What has been seen since each feature began, and what may change."""

    def __init__(self, layout: str) -> None:
        self.layout = layout
        self.began: dict[Any, int] = {}
        self.removed: set[Any] = set()

    def told(self, declared: Declared) -> dict[Any, str]:
        """The columns of the tiles: in sliding tiles each window has its own."""
        features = declared.group_by().features
        if self.layout == "sliding":
            return {(each.part, self._type(declared, each)): each.name for each in features}
        parts = declared.group_by().tile_parts
        return {
            (parts[each.tile_index], self._type(declared, each)): each.name for each in features
        }

    def _type(self, declared: Declared, feature: Any) -> Any:
        return declared.types[feature.part.input_column].name

    def refusal(self, was: Declared, now: Declared) -> str | None:
        """The name of what cannot be taken over."""
        if was.keys != now.keys:
            return "keys"
        old, new = was.group_by(), now.group_by()
        if _sizes(old, self.layout) != _sizes(new, self.layout):
            return "tile_sizes_ms"
        if was.wheres != now.wheres:
            return "wheres"
        kept = {one.column for one in was.ones} & {one.column for one in now.ones}
        for name in dict.fromkeys(name for name, _ in (*was.selects, *now.selects)):
            texts = {dict(each.selects).get(name, name) for each in (was, now)}
            if len(texts) > 1 and (name in kept or "explode" in str(texts)):
                return f"select {name}"
        for part, kind in self._parts(now):
            for other, known in self._parts(was):
                if part.column == other.column and (part, kind) != (other, known):
                    return part.column
        back = [name for told, name in self.told(now).items() if told in self.removed]
        return back[0] if back and self.layout == "sliding" else None

    def _parts(self, declared: Declared) -> list[Any]:
        parts = declared.group_by().tile_parts
        return [(part, declared.types[part.input_column].name) for part in parts]

    def take_over(self, declared: Declared, seen: int) -> None:
        told = self.told(declared)
        gone = set(self.began) - set(told)
        self.removed |= gone
        self.began = {each: self.began.get(each, seen) for each in told}

    def since(self, declared: Declared) -> dict[str, int]:
        """By feature, how many events had been seen when it began."""
        parts = declared.group_by().tile_parts
        return {
            each.name: self.began[
                each.part if self.layout == "sliding" else parts[each.tile_index],
                self._type(declared, each),
            ]
            for each in declared.group_by().features
        }


def _sizes(group_by: Any, layout: str) -> Any:
    if layout == "tumbling":
        return group_by.tile_size_ms
    return {window.millis for window in group_by.windows}


def checked(
    job: ChangingJob, declared: Declared, since: dict[str, int], seen: list[Any], upto: int
) -> None:
    """Compare the features that began among the first `upto` events with those without tiles."""
    if not seen:
        return
    keys = [{"user": u, "shop": s} for u in ("ann", "böb", None) for s in (1, 2, None)]
    names = [name for name, first in since.items() if first <= upto]
    group_by = declared.group_by()
    for at_ms in query_times(seen, job.layout):
        found = fetched(job.store, group_by, keys, at_ms)
        for key, features in zip(keys, found, strict=True):
            counting = {name: seen[since[name] :] for name in names}
            expected = features_of(group_by, declared.types, counting, key, at_ms)
            assert alike({name: features[name] for name in names}, expected), (key, at_ms)


@pytest.mark.parametrize("layout", ["tumbling", "sliding"])
@settings(max_examples=40)
@given(st.data())
def test_a_change_is_taken_over_exactly_or_refused_by_name(layout: str, data: Any) -> None:
    MemoryStore.forget("changes")
    chance = data.draw(st.randoms(use_true_random=False))
    job, model = ChangingJob(MemoryStore("changes"), chance, layout), Model(layout)
    dialect = data.draw(st.sampled_from(["airbnb", "zipline"]))
    declared = Declared(dialect, (data.draw(aggregation(dialect)),))
    job.change(declared.group_by(), declared.types)
    model.take_over(declared, 0)
    seen: list[dict[str, Any]] = []
    savepoint, saved = job.savepoint(), 0
    for _ in range(data.draw(st.integers(1, 4))):
        seen += take(job, data.draw(events(12)), len(seen))
        checked(job, declared, model.since(declared), seen, len(seen))
        job.end_phase()
        if chance.random() < 0.7:
            savepoint, saved = job.savepoint(), len(seen)
        declared = go_on(job, model, declared, data.draw(changed(declared)), len(seen))
        checked(job, declared, model.since(declared), seen, len(seen))
    job.restore(savepoint)
    take(job, seen[saved:], saved)
    # Features that began since have seen some of these events in some tiles only.
    checked(job, declared, model.since(declared), seen, saved)


def take(job: ChangingJob, new: list[Any], first: int) -> list[Any]:
    for rows in rows_of(new, first, job.chance):
        job.take(rows)
    return new


def go_on(job: ChangingJob, model: Model, was: Declared, now: Declared, seen: int) -> Declared:
    """Start the job with another GroupBy; gives the one that it then has."""
    named = model.refusal(was, now)
    if named is None:
        job.change(now.group_by(), now.types)
        model.take_over(now, seen)
        return now
    with pytest.raises(GroupByError) as refused:
        job.change(now.group_by(), now.types)
    assert named in str(refused.value)
    assert "rename the GroupBy, use another store" in str(refused.value)
    job.restore(job.savepoint())
    return was
