"""Stores that an inspector looks into: what jobs and uploads of drawn GroupBys leave behind."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from declarations import events, group_by, windows
from hypothesis import strategies as st

from chronon_beam.aggregator.batch_fold import BatchFold, Partial, pack
from chronon_beam.aggregator.layout import floor_to
from chronon_beam.aggregator.operations.table import OPERATIONS, taking
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import Aggregation, Operation
from chronon_beam.api.data_types import (
    DOUBLE,
    LONG,
    STRING,
    DataType,
    list_of,
    map_of,
)
from chronon_beam.api.dialect import DAY_MS, DIALECTS
from chronon_beam.api.records import PutRequest
from chronon_beam.fetcher.batch_info import BatchInfo, batch_request
from chronon_beam.fetcher.fetch import Derive, Fetcher
from chronon_beam.io.kv_store import KVStore, open_store

END_MS = 20_000 * DAY_MS
"""Where batches end: some day of 2024."""

TYPES: dict[str, DataType] = {
    "user": STRING,
    "word": STRING,
    "count": LONG,
    "price": DOUBLE,
    "bucket": STRING,
    "prices": list_of(DOUBLE),
    "by_word": map_of(LONG),
}

_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "word": st.sampled_from(["olive oil", "<b>", "é", ""]),
    "count": st.integers(-3, 3),
    "price": st.sampled_from([0.5, 1.25, -2.0]),
    "bucket": st.sampled_from(["a", "b"]),
    "prices": st.lists(st.sampled_from([0.5, 2.0]), min_size=2, max_size=2),
    "by_word": st.dictionaries(st.sampled_from(["x", "y"]), st.integers(0, 2), max_size=2),
}

Event = tuple[int, dict[str, Any]]
"""(ts_ms, the columns)."""


@dataclass
class Written:
    """A GroupBy's store, as a job and an upload write it.

    Attributes:
        way: `tumbling`, `sliding` or `rows`; `upload` where no job has written.
        batch: whether events before `end_ms` are in batch values.
        derive: see `Fetcher.derive`.
    """

    plan: Plan
    way: str
    batch: bool = False
    store: KVStore = field(default_factory=lambda: open_store(f"memory:{uuid4()}"))
    end_ms: int = END_MS
    derive: Derive | None = None

    @property
    def fetcher(self) -> Fetcher:
        info = BatchInfo(self.plan, self.end_ms) if self.batch else None
        streamed, tiled = self.way != "upload", self.way != "rows"
        return Fetcher(self.plan, self.store, tiled, info, streamed, self.derive)

    def write(self, user: str | Sequence[str], happened: Sequence[Event]) -> None:
        """Write the tiles or rows of a user, and the batch value."""
        key = self.plan.keys.encode([user] if isinstance(user, str) else list(user))
        if self.batch:
            self._upload(key, [event for event in happened if event[0] < self.end_ms])
        for index, (ts_ms, row) in enumerate(happened):
            if self.way == "rows":
                value = self.plan.rows.encode(self._inputs(row))
                self.put(key, value, ts_ms, ts_ms, 0, f"log@{index}")
        if self.way in ("tumbling", "sliding"):
            self._write_tiles(key, happened)

    def _inputs(self, row: dict[str, Any]) -> list[Any]:
        return [row.get(name) for name in self.plan.inputs]

    def _upload(self, key: bytes, happened: Sequence[Event]) -> None:
        fold, partial = BatchFold(self.plan, self.end_ms), Partial()
        for ts_ms, row in happened:
            fold.add(partial, self._inputs(row), ts_ms)
        value = fold.value([pack(partial, self.plan.tiles)])
        if value is not None:
            request = batch_request(BatchInfo(self.plan, self.end_ms), key, value)
            assert self.store.multi_put([request]) == [None]

    def _write_tiles(self, key: bytes, happened: Sequence[Event]) -> None:
        tiles: dict[Any, Any] = {}
        for ts_ms, row in happened:
            for spec in self.plan.specs:
                aggregator, last = self.plan.row_aggregator(spec), floor_to(ts_ms, spec.period_ms)
                for start_ms in range(last, last - spec.size_ms, -spec.period_ms):
                    tile = tiles.setdefault((spec, start_ms), aggregator.zero())
                    aggregator.update(tile, self._inputs(row), ts_ms)
        for (spec, start_ms), tile in tiles.items():
            self.put(key, self.plan.tiles.encode(tile), start_ms, start_ms, spec.size_ms)

    def put(
        self, key: bytes, value: bytes, ts_ms: int, start_ms: int, size_ms: int, position: str = ""
    ) -> None:
        """Write one value."""
        dataset = self.plan.group_by.streaming_dataset
        request = PutRequest(key, value, dataset, ts_ms, start_ms, size_ms, position)
        assert self.store.multi_put([request]) == [None]


def aggregations_of(dialect: str) -> st.SearchStrategy[Aggregation]:
    """One aggregation of any operation over an input that it takes."""
    known = DIALECTS[dialect]

    def over(column: str) -> list[tuple[str, str]]:
        kind = TYPES[column]
        inner = getattr(kind, "element", getattr(kind, "value", kind))
        return [(column, name) for name in taking(inner, known)]

    columns = [name for name in TYPES if name not in ("user", "bucket")]
    choices = [choice for column in columns for choice in over(column)]

    def declared(choice: tuple[str, str], lengths: list[str], bucketed: bool) -> Aggregation:
        column, name = choice
        operation = Operation[name]
        arguments = {"k": "3"} if OPERATIONS[operation].k else {}
        if operation is Operation.APPROX_UNIQUE_COUNT:
            arguments = {"k": "8"}
        if operation is Operation.APPROX_PERCENTILE:
            arguments = {"k": "128", "percentiles": "[0.5]"}
        buckets = ["bucket"] if bucketed and column not in ("by_word",) else None
        return Aggregation(column, (operation, arguments), windows(*lengths) or None, buckets)

    lengths = st.lists(st.sampled_from(["1h", "6h", "1d", "5d", "30d"]), max_size=2, unique=True)
    return st.builds(declared, st.sampled_from(choices), lengths, st.booleans())


@st.composite
def stores(draw: st.DrawFn) -> tuple[Written, int]:
    """A store that one user's events were written to, and a time to look at it."""
    dialect = draw(st.sampled_from(sorted(DIALECTS)))
    drawn = draw(st.lists(aggregations_of(dialect), min_size=1, max_size=3))
    unique = {(a.inputColumn, a.operation): a for a in drawn}
    bounded = Aggregation("word", Operation.COUNT, windows("6h"))
    unique[bounded.inputColumn, bounded.operation] = bounded
    declared = group_by(
        "t.drawn", ["user"], list(unique.values()), dialect=dialect, sources=events(*TYPES)
    )
    way = draw(st.sampled_from(["tumbling", "sliding", "rows"]))
    layout = "tumbling" if way == "rows" else way
    batch = way != "sliding" and draw(st.booleans())
    written = Written(Plan(declared, TYPES, layout), way, batch)
    before = st.integers(END_MS - 8 * DAY_MS, END_MS) if batch else st.nothing()
    times = st.integers(END_MS - 8 * 3_600_000, END_MS + 3_600_000) | before
    event = st.tuples(times, st.fixed_dictionaries({}, optional=_VALUES))
    written.write("Ann", draw(st.lists(event, max_size=12)))
    return written, draw(st.integers(END_MS, END_MS + 3 * DAY_MS // 2))
