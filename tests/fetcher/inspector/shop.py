"""The store that the page is looked at with: examples, and a shop with all that can happen."""

import gzip
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from declarations import events, group_by, windows
from inspected import Event, Written
from make_architecture import ROOT

from chronon_beam.aggregator.codecs import complete
from chronon_beam.aggregator.layout import floor_to
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import (
    Accuracy,
    Aggregation,
    Derivation,
    EntitySource,
    Operation,
    Query,
    Source,
    load_group_by,
    select,
)
from chronon_beam.api.data_types import DOUBLE, LONG, STRING
from chronon_beam.api.dialect import DAY_MS, FIVE_MINUTES_MS, HOUR_MS
from chronon_beam.api.records import Correction, Phase, PutRequest
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.io.kv_store import KVStore
from chronon_beam.io.repair import correct

MARKUP = '<script>document.title = "pwned"</script>&"\''
"""A customer whose name is markup."""

SALES, PROFILES, ACCOUNTS = "shop.sales", "shop.profiles", "shop.accounts"
NOON_MS = 20_000 * DAY_MS + 12 * HOUR_MS
LATE_EVENT = "orders/3@812"

_EXAMPLES = ROOT / "examples"


class Shelf:
    """The GroupBys of the shop, by name."""

    def __init__(self, store: KVStore) -> None:
        self.written: dict[str, Written] = {}
        for make in (ice_cream, flights, sales, profiles, accounts):
            made = make(store)
            self.written[made.plan.group_by.name] = made

    def names(self) -> list[str]:
        return list(self.written)

    def fetcher(self, name: str) -> Fetcher:
        return self.written[name].fetcher


def _lines(path: Path) -> list[dict[str, Any]]:
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return [json.loads(line) for line in text.splitlines()]


def ice_cream(store: KVStore) -> Written:
    """The example of `make run`."""
    declared = load_group_by(str(_EXAMPLES / "ice_cream" / "group_by.py"))
    types = {"customer_id": STRING, "flavor": STRING}
    written = Written(Plan(declared, types), "tumbling", store=store)
    orders = _lines(_EXAMPLES / "ice_cream" / "events.jsonl")
    for customer in ("Alice", "Bob"):
        written.write(
            customer,
            [
                (each["created"], {"customer_id": customer, "flavor": each["ice_cream_flavor"]})
                for each in orders
                if each["customer_id"] == customer
            ],
        )
    return written


def flights(store: KVStore) -> Written:
    """The flights of one carrier from one airport: those up to 2 January are in batch values."""
    declared = load_group_by(str(_EXAMPLES / "flights" / "group_by.py"))
    types = {
        **dict.fromkeys(("carrier", "origin", "tailnum", "flight", "length"), STRING),
        **dict.fromkeys(("arr_delay", "dep_delay"), LONG),
    }
    end_ms = 15_708 * DAY_MS
    written = Written(Plan(declared, types), "tumbling", True, store, end_ms)
    happened = [
        _flight(each)
        for each in _lines(_EXAMPLES / "flights" / "flights.jsonl.gz")
        if (each["carrier"], each["origin"]) == ("UA", "EWR") and each["dep_delay"] is not None
    ]
    written.write(("UA", "EWR"), happened)
    return written


def _flight(each: dict[str, Any]) -> Event:
    hour = datetime.fromisoformat(each["time_hour"])
    row = {
        **each,
        "flight": f"{each['carrier']} {each['flight']} to {each['dest'].upper()}",
        "length": "short" if each["distance"] < 800 else "long",
    }
    return int(hour.timestamp() * 1000) + (each["minute"] + each["dep_delay"]) * 60_000, row


def sales(store: KVStore) -> Written:
    """A day of sales in 288 tiles, most of them complete, and one of them corrected."""
    aggregations = [
        Aggregation("price", Operation.COUNT, windows("6h", "1d")),
        Aggregation("price", Operation.AVERAGE, windows("6h", "1d")),
        Aggregation("flavor", Operation.LAST_K(3), windows("1d")),
        Aggregation("flavor", Operation.HISTOGRAM(5), windows("1d")),
        Aggregation("price", Operation.APPROX_UNIQUE_COUNT(8), windows("1d")),
    ]
    sources = events("customer", "price", "flavor")
    declared = group_by(SALES, ["customer"], aggregations, sources=sources)
    types = {"customer": STRING, "price": DOUBLE, "flavor": STRING}
    written = Written(Plan(declared, types), "tumbling", store=store)
    written.write(MARKUP, _day_of_sales())
    _close(written, NOON_MS - HOUR_MS)
    _correct(written, NOON_MS - 2 * HOUR_MS)
    return written


def profiles(store: KVStore) -> Written:
    """Values of accuracy SNAPSHOT, from which others are derived."""
    aggregations = [
        Aggregation("price", Operation.COUNT, windows("7d")),
        Aggregation("price", Operation.SUM, windows("7d")),
    ]
    mean = Derivation("mean_price", "price_sum_7d / price_count_7d")
    declared = group_by(
        PROFILES,
        ["customer"],
        aggregations,
        sources=events("customer", "price", table="data.sales"),
        accuracy=Accuracy.SNAPSHOT,
        derivations=[Derivation("*", "*"), mean],
    )
    plan = Plan(declared, {"customer": STRING, "price": DOUBLE})
    end_ms = NOON_MS - 12 * HOUR_MS
    written = Written(plan, "upload", True, store, end_ms, _with_mean)
    prices = ((9, 100.0), (6, 2.0), (1, 3.5))
    written.write("Ann", [(end_ms - days * DAY_MS, {"price": price}) for days, price in prices])
    return written


def _with_mean(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """As Spark derives it."""
    names = ("price_count_7d", "price_sum_7d")
    return [
        {**{name: row[name] for name in names}, "mean_price": row[names[1]] / row[names[0]]}
        for row in rows
    ]


def accounts(store: KVStore) -> Written:
    """Rows of an entity, one of which is taken back when it changes."""
    columns = {"mutation_time_column": "changed", "reversal_column": "op = 'D'"}
    query = Query(select("user", "balance"), time_column="opened", **columns)
    entities = EntitySource(query=query, snapshotTable="data.accounts", mutationTopic="accounts")
    sums = [Aggregation("balance", Operation.SUM, windows("6h"))]
    declared = group_by(ACCOUNTS, ["user"], sums, sources=Source(entities=entities))
    plan = Plan(declared, {"user": STRING, "balance": DOUBLE})
    written = Written(plan, "rows", store=store)
    opened_ms = NOON_MS - HOUR_MS
    changes = ((10.0, False), (7.0, False), (10.0, True), (25.0, False))
    for number, (balance, is_before) in enumerate(changes):
        value = plan.rows.encode([balance, opened_ms, is_before])
        changed_ms = opened_ms + number * FIVE_MINUTES_MS
        written.put(plan.keys.encode(["Ann"]), value, changed_ms, changed_ms, 0, f"log@{number}")
    return written


def _day_of_sales() -> list[Event]:
    flavors = ["olive oil", "<b>bold</b>", "pistachio"]
    happened = []
    for tile in range(288):
        start_ms = NOON_MS - DAY_MS + tile * FIVE_MINUTES_MS
        for sale in range(1 + (tile * 7) % 5 + (tile // 60) % 3):
            number = tile + sale
            row = {"price": 2.5 + number % 7 / 2, "flavor": flavors[number % 3]}
            happened.append((start_ms + sale * 20_000, row))
    return happened


def _close(written: Written, before_ms: int) -> None:
    """Write the tiles again that end before a time, as a job does when it closes them."""
    dataset = written.plan.group_by.streaming_dataset
    puts = [
        PutRequest(
            each.key_bytes, complete(each.value.value_bytes), dataset, start_ms, start_ms, size_ms
        )
        for each in written.store.scan(dataset)
        for start_ms, size_ms in ((each.value.ts_ms, each.tile_size_ms),)
        if start_ms + size_ms <= before_ms
    ]
    written.store.multi_put(puts)


def _correct(written: Written, ts_ms: int) -> None:
    """An event that came when its tile had closed for good."""
    plan = written.plan
    tile = plan.row_aggregator(plan.specs[0]).zero()
    row = {"price": 99.0, "flavor": "too late"}
    plan.row_aggregator(plan.specs[0]).update(tile, [row.get(name) for name in plan.inputs], ts_ms)
    start_ms = floor_to(ts_ms, FIVE_MINUTES_MS)
    dataset, key = plan.group_by.streaming_dataset, plan.keys.encode([MARKUP])
    put = PutRequest(key, plan.tiles.encode(tile), dataset, ts_ms, start_ms, FIVE_MINUTES_MS)
    late = Correction(put, Phase.CLOSED_FOR_GOOD, LATE_EVENT)
    assert correct(written.store, plan, [late]) == [None]
