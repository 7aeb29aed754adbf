"""Reading back: what was put as tiles or rows, as the values of features."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from declarations import group_by, windows

from chronon_beam.aggregator.avro import AvroError
from chronon_beam.aggregator.layout import floor_to
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import (
    Aggregation,
    GroupBy,
    Operation,
)
from chronon_beam.api.data_types import (
    BINARY,
    BOOLEAN,
    BYTE,
    DOUBLE,
    INT,
    LONG,
    SHORT,
    STRING,
    DataType,
    DecimalType,
    decimal_of,
)
from chronon_beam.api.records import PutRequest
from chronon_beam.fetcher.entity_key import KeyMismatch, parse_key
from chronon_beam.fetcher.fetch import Fetcher, fetch_together
from chronon_beam.io.kv_store import KVStore, open_store

HOUR_MS = 3_600_000
TYPES = {"user": STRING, "shop": INT, "n": DOUBLE}


def plan(layout: str = "tumbling", *lengths: str, unbounded: bool = True) -> Plan:
    aggregations = [Aggregation("n", Operation.SUM, windows(*lengths or ("1h", "30d")))]
    if unbounded:
        aggregations.append(Aggregation("n", Operation.MAX))
    return Plan(group_by("t.fetch", ["user", "shop"], aggregations), TYPES, layout)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KVStore]:
    opened = open_store(f"{request.param}:{tmp_path / 'features.db'}")
    yield opened
    opened.close()


Event = tuple[dict[str, Any], int, float]


def put_tiles(store: KVStore, made: Plan, events: list[Event]) -> None:
    """What a job writes: after every event, the tiles that hold it."""
    tiles: dict[Any, Any] = {}
    for key, ts_ms, number in events:
        key_bytes = made.keys.encode([key[name] for name in made.group_by.keys])
        for spec in made.specs:
            aggregator = made.row_aggregator(spec)
            last = floor_to(ts_ms, spec.period_ms)
            for start_ms in range(last, last - spec.size_ms, -spec.period_ms):
                tile = tiles.setdefault((key_bytes, spec, start_ms), aggregator.zero())
                aggregator.update(tile, [number], ts_ms)
                put(store, made, key_bytes, made.tiles.encode(tile), ts_ms, start_ms, spec.size_ms)


def put_rows(store: KVStore, made: Plan, events: list[Event]) -> None:
    for key, ts_ms, number in events:
        key_bytes = made.keys.encode([key[name] for name in made.group_by.keys])
        put(store, made, key_bytes, made.rows.encode([number]), ts_ms, ts_ms, 0)


def put(
    store: KVStore, made: Plan, key: bytes, value: bytes, ts_ms: int, start_ms: int, size_ms: int
) -> None:
    dataset = made.group_by.streaming_dataset
    assert store.multi_put([PutRequest(key, value, dataset, ts_ms, start_ms, size_ms)]) == [None]


ANN = {"user": "Ann", "shop": 1}
ANN_ELSEWHERE = {"user": "Ann", "shop": 2}
NOBODY = {"user": None, "shop": 1}
EVENTS: list[Event] = [
    (ANN, 1_000, 1.0),
    (ANN, 2 * HOUR_MS, 2.0),
    (ANN_ELSEWHERE, 2 * HOUR_MS, 4.0),
    (NOBODY, 2 * HOUR_MS, 8.0),
    (ANN, 2 * HOUR_MS + 1_000, 16.0),
]
AT_MS = 2 * HOUR_MS + 2_000


@pytest.mark.parametrize("way", ["tumbling", "sliding", "rows"])
def test_features_of_composite_keys_are_fetched(store: KVStore, way: str) -> None:
    made = plan() if way == "rows" else plan(way)
    (put_rows if way == "rows" else put_tiles)(store, made, EVENTS)
    fetcher = Fetcher(made, store, tiled=way != "rows")
    ann, elsewhere, nobody = fetcher.fetch([ANN, ANN_ELSEWHERE, NOBODY], AT_MS)
    assert ann == {"n_sum_1h": 18.0, "n_sum_30d": 19.0, "n_max": 16.0}
    assert elsewhere == {"n_sum_1h": 4.0, "n_sum_30d": 4.0, "n_max": 4.0}
    assert nobody == {"n_sum_1h": 8.0, "n_sum_30d": 8.0, "n_max": 8.0}


@pytest.mark.parametrize("way", ["tumbling", "sliding", "rows"])
def test_key_with_nothing_has_nulls(store: KVStore, way: str) -> None:
    made = plan() if way == "rows" else plan(way)
    fetcher = Fetcher(made, store, tiled=way != "rows")
    (put_rows if way == "rows" else put_tiles)(store, made, EVENTS)
    nothing = {"n_sum_1h": None, "n_sum_30d": None, "n_max": None}
    assert fetcher.fetch([{"user": "Eve", "shop": 1}], AT_MS) == [nothing]
    assert fetcher.fetch([ANN], -40 * 24 * HOUR_MS) == [nothing]


def test_fetching_on_an_event_loop_and_together_gives_the_same(store: KVStore) -> None:
    tiled, rows = plan(), replace(plan("tumbling", "2h"), group_by=renamed("t.rows"))
    put_tiles(store, tiled, EVENTS)
    put_rows(store, rows, EVENTS)
    fetchers = [Fetcher(tiled, store), Fetcher(rows, store, tiled=False)]
    asked = [(fetchers[0], [ANN, NOBODY]), (fetchers[1], []), (fetchers[1], [ANN_ELSEWHERE])]
    expected = [fetcher.fetch(keys, AT_MS) for fetcher, keys in asked]
    assert [len(found) for found in expected] == [2, 0, 1]
    assert asyncio.run(fetch_together(store, asked, AT_MS)) == expected
    for (fetcher, keys), found in zip(asked, expected, strict=True):
        assert asyncio.run(fetcher.fetch_async(keys, AT_MS)) == found


def renamed(name: str) -> GroupBy:
    return replace(plan("tumbling", "2h").group_by, name=name)


def test_no_keys_give_no_values(store: KVStore) -> None:
    made = plan()
    put_tiles(store, made, EVENTS)
    assert Fetcher(made, store).fetch([], AT_MS) == []


def test_window_slides_past_events(store: KVStore) -> None:
    made = plan("tumbling", "1h", "2h", unbounded=False)
    put_tiles(store, made, EVENTS)
    (ann,) = Fetcher(made, store).fetch([ANN], 3 * HOUR_MS + 600_000)
    assert ann == {"n_sum_1h": None, "n_sum_2h": 18.0}


def test_sliding_tile_counts_whole_so_that_the_past_is_not_exact(store: KVStore) -> None:
    made = plan("sliding", "1h", unbounded=False)
    put_tiles(store, made, EVENTS)
    # The tile of a query at 0 ends at 00:05, and holds the event that comes a second later.
    assert Fetcher(made, store).fetch([ANN], 0) == [{"n_sum_1h": 1.0}]
    assert Fetcher(made, store).fetch([ANN], AT_MS) == [{"n_sum_1h": 18.0}]


@pytest.mark.parametrize("lengths", [("23h",), ("24h", "1d"), ("23h", "47h", "6h")])
def test_sliding_tiles_of_several_families_do_not_overwrite_each_other(
    store: KVStore, lengths: tuple[str, ...]
) -> None:
    made = plan("sliding", *lengths)
    put_tiles(store, made, EVENTS)
    (ann,) = Fetcher(made, store).fetch([ANN], AT_MS)
    assert ann == {**{f"n_sum_{length}": 19.0 for length in lengths}, "n_max": 16.0}


def test_bytes_of_another_group_by_are_an_error(store: KVStore) -> None:
    made = plan()
    key = made.keys.encode(["Ann", 1])
    put(store, made, key, b"\x07other", 1_000, 0, made.specs[0].size_ms)
    with pytest.raises(AvroError, match="t_fetch_TILE_IR"):
        Fetcher(made, store).fetch([ANN], AT_MS)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ({}, r"missing \['user', 'shop'\]: expected are user \(string\), shop \(int\)"),
        ({"user": "Ann"}, r"missing \['shop'\]"),
        ({"user": "Ann", "shop": 1, "city": "x"}, r"unknown \['city'\]"),
        ({"user": 5, "shop": 1}, "key user=5: a string is expected"),
        ({"user": "Ann", "shop": "1"}, "key shop='1': a int is expected"),
        ({"user": "Ann", "shop": True}, "key shop=True: a int is expected"),
        ({"user": "Ann", "shop": 1.0}, "key shop=1.0: a int is expected"),
        ({"user": "Ann", "shop": 2**31}, "key shop=2147483648: a int is expected"),
    ],
)
def test_key_that_does_not_fit_is_refused(key: dict[str, Any], message: str) -> None:
    with pytest.raises(KeyMismatch, match=message):
        Fetcher(plan(), open_store("null:")).fetch([key], AT_MS)


def key_plan(data_type: DataType) -> Plan:
    dialect = "zipline" if isinstance(data_type, DecimalType) else "airbnb"
    aggregations = [Aggregation("n", Operation.SUM, windows("1h"))]
    declared = group_by("t.keys", ["k"], aggregations, dialect=dialect)
    return Plan(declared, {"k": data_type, "n": DOUBLE})


@pytest.mark.parametrize(
    ("data_type", "fitting", "other"),
    [
        (BOOLEAN, [True, False, None], [1, "true"]),
        (BYTE, [-128, 127], [128, -129]),
        (SHORT, [-(2**15), 2**15 - 1], [2**15]),
        (LONG, [2**63 - 1, -(2**63)], [2**63, "1"]),
        (DOUBLE, [1, 1.5, None], [True, "1.5"]),
        (BINARY, [b"\x00"], ["text"]),
        (decimal_of(10, 2), [Decimal("-2.50"), 3, None], [True, 1.5, Decimal("NaN")]),
    ],
)
def test_values_fit_the_type_of_their_column(
    data_type: DataType, fitting: list[Any], other: list[Any]
) -> None:
    fetcher = Fetcher(key_plan(data_type), open_store("null:"))
    for value in fitting:
        assert fetcher.plan.keys.decode(fetcher.key_bytes({"k": value})) == (value,)
    for value in other:
        with pytest.raises(KeyMismatch, match=f"a {data_type.name} is expected"):
            fetcher.key_bytes({"k": value})


@pytest.mark.parametrize(
    ("data_type", "text", "value"),
    [
        (STRING, "a=b c", "a=b c"),
        (STRING, "", ""),
        (INT, "-3", -3),
        (DOUBLE, "2.5", 2.5),
        (BOOLEAN, "True", True),
        (BOOLEAN, "false", False),
        (BINARY, "é", "é".encode()),
        (decimal_of(10, 2), "-2.50", Decimal("-2.50")),
    ],
)
def test_key_is_read_from_the_command_line(data_type: DataType, text: str, value: Any) -> None:
    assert parse_key([f"k={text}"], {"k": data_type}) == {"k": value}


@pytest.mark.parametrize(
    ("text", "data_type", "message"),
    [
        ("k", STRING, r"--key=k: NAME=VALUE is expected, for k \(string\)"),
        ("k=x", INT, "--key=k=x: a int is expected"),
        ("k=1.5", LONG, "--key=k=1.5: a long is expected"),
        ("k=yes", BOOLEAN, "--key=k=yes: a bool is expected"),
        ("k=x", DOUBLE, "--key=k=x: a double is expected"),
        ("k=x", decimal_of(10, 2), "--key=k=x: a decimal_10_2 is expected"),
    ],
)
def test_key_on_the_command_line_that_makes_no_sense(
    text: str, data_type: DataType, message: str
) -> None:
    with pytest.raises(KeyMismatch, match=message):
        parse_key([text], {"k": data_type})


def test_unknown_column_is_left_for_fetch_to_refuse() -> None:
    assert parse_key(["k=1", "z=1"], {"k": INT}) == {"k": 1, "z": "1"}
