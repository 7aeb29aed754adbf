"""Rows of a request: one outcome per row, whatever happens to the others."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from declarations import group_by, windows

from chronon_beam.aggregator.batch_ir import FinalBatchIr
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import Aggregation, Operation
from chronon_beam.api.data_types import DOUBLE, LONG, STRING
from chronon_beam.api.derivations import Derivation
from chronon_beam.api.records import GetRequest, PutRequest, TimedValue
from chronon_beam.fetcher.batch_info import BatchInfo, batch_request
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.fetcher.rows import (
    Cause,
    GroupByRows,
    RowAnswer,
    RowFailure,
    RowOutcome,
    fetch_rows_async,
)
from chronon_beam.fetcher.rows import fetch_rows as fetch_rows_now
from chronon_beam.io.kv_store import MemoryStore

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
AT_MS = DAY_MS + HOUR_MS
TYPES = {"user": STRING, "shop": LONG, "n": DOUBLE}
ANN: dict[str, object] = {"user": "Ann", "shop": 1}
NOTHING = {"n_sum_1h": None, "n_sum_3d": None}


def plan(name: str = "t.rows", dialect: str = "airbnb") -> Plan:
    aggregations = [Aggregation("n", Operation.SUM, windows("1h", "3d"))]
    return Plan(group_by(name, ["user", "shop"], aggregations, dialect=dialect), TYPES)


class Breakable(MemoryStore):
    """A store whose reads of some datasets fail; it counts the reads."""

    def __init__(self) -> None:
        super().__init__(f"{id(self)}")
        self.broken: set[str] = set()
        self.reads = 0

    def multi_get(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        self.reads += 1
        broken = self.broken & {each.dataset for each in requests}
        if broken:
            raise ConnectionError(f"{broken.pop()} is away")
        return super().multi_get(requests)


@pytest.fixture(name="store")
def _store() -> Breakable:
    return Breakable()


def put_tile(store: Breakable, made: Plan, key: dict[str, object], number: float) -> None:
    spec = made.specs[0]
    aggregator = made.row_aggregator(spec)
    tile = aggregator.zero()
    aggregator.update(tile, [number], DAY_MS)
    put(store, made, key, made.tiles.encode(tile))


def put(store: Breakable, made: Plan, key: dict[str, object], value: bytes) -> None:
    key_bytes = made.keys.encode([key[name] for name in made.group_by.keys])
    dataset, size_ms = made.group_by.streaming_dataset, made.specs[0].size_ms
    store.multi_put([PutRequest(key_bytes, value, dataset, DAY_MS, DAY_MS, size_ms)])


def fetch_rows(
    store: Breakable, asked: Sequence[GroupByRows], at_ms: int
) -> list[list[RowOutcome]]:
    found = fetch_rows_now(store, asked, at_ms)
    assert asyncio.run(fetch_rows_async(store, asked, at_ms)) == found
    return found


def test_rows_are_cast_and_further_columns_ignored(store: Breakable) -> None:
    made = plan()
    put_tile(store, made, ANN, 4.0)
    rows = [{"page": [1], "shop": "1", "user": "Ann"}, {"user": "Eve", "shop": 1.0}]
    found = fetch_rows(store, [GroupByRows(Fetcher(made, store), rows)], AT_MS)
    eve = {"user": "Eve", "shop": 1}
    assert found == [
        [
            RowAnswer({"n_sum_1h": 4.0, "n_sum_3d": 4.0}, ANN, True, DAY_MS),
            RowAnswer(NOTHING, eve, known=False),
        ]
    ]


def test_each_wrong_row_fails_alone(store: Breakable) -> None:
    made = plan()
    put_tile(store, made, ANN, 4.0)
    put(store, made, {"user": "Bad", "shop": 1}, b"\xff\xff")
    rows = [
        {"user": "Ann"},
        ANN,
        {"user": "Ann", "shop": "one"},
        {"user": "Bad", "shop": 1},
        {"user": "Ann", "shop": 2**63},
        {"user": None, "shop": 1},
        {"user": "\ud800", "shop": 1},
        ANN,
    ]
    [found] = fetch_rows(store, [GroupByRows(Fetcher(made, store), rows)], AT_MS)
    causes = [each.cause if isinstance(each, RowFailure) else None for each in found]
    key = Cause.KEY
    assert causes == [key, None, key, Cause.VALUE, key, Cause.NULL_KEY, key, None]
    assert found[1] == found[7] == RowAnswer({"n_sum_1h": 4.0, "n_sum_3d": 4.0}, ANN, True, DAY_MS)


def test_null_in_a_key_is_a_key_in_zipline_unless_all_are_null(store: Breakable) -> None:
    made = plan(dialect="zipline")
    nobody = {"user": None, "shop": 1}
    put_tile(store, made, nobody, 4.0)
    rows = [nobody, {"user": None, "shop": None}]
    [[first, second]] = fetch_rows(store, [GroupByRows(Fetcher(made, store), rows)], AT_MS)
    assert first == RowAnswer({"n_sum_1h": 4.0, "n_sum_3d": 4.0}, nobody, True, DAY_MS)
    assert second == RowFailure("the key is null", Cause.NULL_KEY)


def test_several_group_bys_are_one_read(store: Breakable) -> None:
    asked = [(Fetcher(plan(name), store), [ANN, ANN]) for name in ("t.a", "t.b")]
    found = fetch_rows_now(store, asked, AT_MS)
    assert found == [[RowAnswer(NOTHING, ANN, known=False)] * 2] * 2
    assert store.reads == 1


@pytest.mark.parametrize("broken", ["streaming_dataset", "batch_dataset"])
def test_failed_read_of_either_half_fails_the_rows_that_need_it(
    store: Breakable, broken: str
) -> None:
    made, other = plan("t.a"), plan("t.b")
    batch = BatchInfo(made, DAY_MS)
    put_tile(store, made, ANN, 4.0)
    put_tile(store, other, ANN, 8.0)
    whole = Fetcher(made, store, batch=batch)
    [[found]] = fetch_rows(store, [GroupByRows(whole, [ANN])], AT_MS)
    assert isinstance(found, RowAnswer)
    store.broken = {getattr(made.group_by, broken)}
    both = [GroupByRows(whole, [ANN]), GroupByRows(Fetcher(other, store), [ANN])]
    [[failed], [fine]] = fetch_rows(store, both, AT_MS)
    assert failed.cause is Cause.STORE if isinstance(failed, RowFailure) else False
    assert "is away" in str(failed)
    assert fine == RowAnswer({"n_sum_1h": 8.0, "n_sum_3d": 8.0}, ANN, True, DAY_MS)


def test_batch_that_is_too_old_is_said(store: Breakable) -> None:
    made = plan()
    batch = BatchInfo(made, DAY_MS)
    fetcher = Fetcher(made, store, batch=batch)
    ir = made.batch_irs.encode(FinalBatchIr([None, None], [[], [], []]))
    key = made.keys.encode(["Ann", 1])
    store.multi_put([batch_request(batch, key, ir)])
    for at_ms, late_ms in ((2 * DAY_MS, None), (4 * DAY_MS, DAY_MS)):
        [[found]] = fetch_rows(store, [GroupByRows(fetcher, [ANN])], at_ms)
        assert found == RowAnswer(NOTHING, ANN, True, None, late_ms)


def test_query_before_the_batch_fails_every_row(store: Breakable) -> None:
    fetcher = Fetcher(plan(), store, batch=BatchInfo(plan(), DAY_MS))
    for wrong in ({"user": "Ann"}, {"user": "Ann", "shop": 2**70}):
        [found] = fetch_rows(store, [GroupByRows(fetcher, [ANN, wrong])], DAY_MS - 1)
        causes = [each.cause if isinstance(each, RowFailure) else None for each in found]
        assert causes == [Cause.QUERY, Cause.KEY]


def test_derivation_that_fails_fails_its_rows(store: Breakable) -> None:
    def derive(_: object) -> list[dict[str, object]]:
        raise RuntimeError("no Spark")

    made = plan()
    derived = replace(made.group_by, derivations=(Derivation("half", "n_sum_1h / 2"),))
    fetcher = Fetcher(replace(made, group_by=derived), store, derive=derive)
    [found] = fetch_rows(store, [GroupByRows(fetcher, [ANN, ANN])], AT_MS)
    assert found == [RowFailure("no Spark", Cause.DERIVATION)] * 2
