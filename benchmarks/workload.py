"""Events, GroupBys and a fold in plain Python that says what must come out.

light: COUNT and LAST, the ice cream example. heavy: 11 aggregations, a where, two expressions.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from chronon_beam.api import (
    Aggregation,
    EventSource,
    GroupBy,
    Operation,
    Query,
    Source,
    TimeUnit,
    Window,
    select,
)
from chronon_beam.api.data_types import DOUBLE, LONG, STRING
from chronon_beam.api.group_by import GroupBy as GroupByType

TILE_MS = 300_000
BEGIN_MS = 1_700_000_100_000 // TILE_MS * TILE_MS
SPAN_MS = 3 * TILE_MS
QUERY_MS = BEGIN_MS + SPAN_MS + 1
JITTER_MS = 2000
SIX_HOURS = [Window(length=6, timeUnit=TimeUnit.HOURS)]
FLAVORS = [f"flavor{i:02d}" for i in range(20)]
DDL = {
    "light": "customer_id STRING, ice_cream_flavor STRING, created BIGINT",
    "heavy": "customer_id STRING, ice_cream_flavor STRING, price DOUBLE, shop STRING, "
    "created BIGINT",
}
TYPES = {"customer_id": STRING, "flavor": STRING, "price": DOUBLE, "shop": STRING, "ts": LONG}
"""Of the columns of rows."""
COLUMNS = {
    "customer_id": "customer_id",
    "flavor": "ice_cream_flavor",
    "price": "price",
    "shop": "shop",
}
"""The column of events that each column of rows is selected from."""


def light(name: str = "bench.light", windows: list[Window] = SIX_HOURS) -> GroupByType:
    """COUNT and LAST."""
    return GroupBy(
        name=name,
        sources=Source(
            EventSource(
                query=Query(select("customer_id", flavor="ice_cream_flavor"), time_column="created")
            )
        ),
        keys=["customer_id"],
        aggregations=[
            Aggregation("customer_id", Operation.COUNT, windows),
            Aggregation("flavor", Operation.LAST, windows),
        ],
    )


def heavy(name: str = "bench.heavy", windows: list[Window] = SIX_HOURS) -> GroupByType:
    """Eleven aggregations over three columns."""
    selects = select(
        "customer_id",
        "price",
        flavor="upper(ice_cream_flavor)",
        shop="coalesce(shop, 'none')",
    )
    query = Query(selects, wheres=["price >= 0 OR price IS NULL"], time_column="created")
    return GroupBy(
        name=name,
        sources=Source(EventSource(query=query)),
        keys=["customer_id"],
        aggregations=[
            Aggregation("customer_id", Operation.COUNT, windows),
            Aggregation("flavor", Operation.LAST, windows),
            Aggregation("price", Operation.SUM, windows),
            Aggregation("price", Operation.AVERAGE, windows),
            Aggregation("price", Operation.VARIANCE, windows),
            Aggregation("price", Operation.MIN, windows),
            Aggregation("price", Operation.MAX, windows),
            Aggregation("flavor", Operation.LAST_K(5), windows),
            Aggregation("price", Operation.TOP_K(3), windows),
            Aggregation("shop", Operation.UNIQUE_COUNT, windows),
            Aggregation("flavor", Operation.HISTOGRAM, windows),
        ],
    )


@dataclass(frozen=True)
class Workload:
    """Events to draw.

    Attributes:
        kind: light or heavy.
        events: how many.
        keys: how many keys.
        skew: 0 for uniform keys, 1 for Zipf's law.
        seed: of the draw.
    """

    kind: str
    events: int
    keys: int
    skew: float
    seed: int = 7

    @property
    def group_by(self) -> Any:
        """The GroupBy of its kind."""
        return light() if self.kind == "light" else heavy()

    def promised_ms(self, index: int) -> int:
        """The watermark before event `index`: nothing from there on is older."""
        return BEGIN_MS + index * (SPAN_MS - JITTER_MS) // self.events - 1

    def drawn(self) -> Iterator[dict[str, Any]]:
        """The events, in the order they arrive: up to `JITTER_MS` out of order."""
        chance = random.Random(self.seed)
        weights = [1 / (i + 1) ** self.skew for i in range(self.keys)]
        names = chance.choices(range(self.keys), weights, k=self.events)
        for i, name in enumerate(names):
            event = {
                "customer_id": f"user{name:06d}",
                "ice_cream_flavor": None if chance.random() < 0.02 else chance.choice(FLAVORS),
                "created": self.promised_ms(i) + 1 + chance.randrange(JITTER_MS),
            }
            if self.kind == "heavy":
                event["price"] = None if chance.random() < 0.02 else chance.randrange(10_000) / 16
                event["shop"] = None if chance.random() < 0.1 else f"shop{chance.randrange(50)}"
            yield event

    def lines(self) -> list[bytes]:
        """The events as JSON."""
        return [json.dumps(event, separators=(",", ":")).encode() for event in self.drawn()]


def folded(workload: Workload) -> dict[str, dict[str, Any]]:
    """Features of each key at the end, by lists and the textbook's formulas."""
    seen: dict[str, list[dict[str, Any]]] = {}
    for event in workload.drawn():
        seen.setdefault(event["customer_id"], []).append(event)
    return {name: features_of(workload.kind, events) for name, events in seen.items()}


def features_of(kind: str, events: list[dict[str, Any]]) -> dict[str, Any]:
    """Features of the events of one key, for a GroupBy of this kind."""
    return _light(events) if kind == "light" else _heavy(events)


def _light(events: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "customer_id_count_6h": len(events),
        "flavor_last_6h": _latest(events, "ice_cream_flavor", 1, str)[0],
    }


def _latest(events: list[dict[str, Any]], name: str, k: int, made: Any) -> list[Any]:
    known = [(event["created"], made(event[name])) for event in events if event[name] is not None]
    latest = sorted(known, key=lambda pair: -pair[0])[:k]
    return [value for _, value in latest] or [None]


def _heavy(events: list[dict[str, Any]]) -> dict[str, Any]:
    prices = [event["price"] for event in events if event["price"] is not None]
    mean = fmean(prices) if prices else None
    flavors = [e["ice_cream_flavor"].upper() for e in events if e["ice_cream_flavor"] is not None]
    last5 = _latest(events, "ice_cream_flavor", 5, str.upper)
    return {
        "customer_id_count_6h": len(events),
        "flavor_last_6h": last5[0],
        "price_sum_6h": sum(prices) if prices else None,
        "price_average_6h": mean,
        "price_variance_6h": fmean((p - mean) ** 2 for p in prices) if prices else None,
        "price_min_6h": min(prices, default=None),
        "price_max_6h": max(prices, default=None),
        "flavor_last5_6h": None if last5 == [None] else last5,
        "price_top3_6h": sorted(prices, reverse=True)[:3] or None,
        "shop_unique_count_6h": len({event["shop"] or "none" for event in events}),
        "flavor_histogram_6h": {f: flavors.count(f) for f in flavors} or None,
    }


def same(ours: Any, theirs: Any) -> bool:
    """Equal, floats to 1e-9 of their size."""
    if isinstance(ours, float) and isinstance(theirs, float):
        return abs(ours - theirs) <= 1e-9 * max(abs(ours), abs(theirs), 1.0)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return ours == theirs
