"""A join over two GroupBys whose rows are in a store of the memory, and an external source."""

from collections.abc import Mapping, Sequence
from typing import Any

from declarations import group_by, windows

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import Aggregation, Derivation, GroupBy, Operation
from chronon_beam.api.data_types import DOUBLE, LONG, STRING
from chronon_beam.api.dialect import AIRBNB, Dialect
from chronon_beam.api.join import Join
from chronon_beam.api.join_json import parse_join_conf
from chronon_beam.api.records import GetRequest, PutRequest, TimedValue
from chronon_beam.fetcher.fetch import Derive, Fetcher
from chronon_beam.fetcher.joins.external import Handlers
from chronon_beam.fetcher.joins.fetch import JoinFetcher
from chronon_beam.io.kv_store import MemoryStore

TYPES = {"user": LONG, "shop": STRING, "n": DOUBLE}
AT_MS = 86_400_000 + 5
EVENTS = {"users": [((1,), 2.0), ((1,), 3.0), ((2,), 10.0)], "shops": [((1, "a"), 7.0)]}
"""Key and number of each event, by the name of the GroupBy."""


def plan_of(name: str, derivations: Sequence[Any] = (), dialect: Dialect = AIRBNB) -> Plan:
    """Sums numbers: by user in 1 hour (`shop.users`), by user and shop at all times."""
    keys, lengths = (["user"], windows("1h")) if name == "users" else (["user", "shop"], None)
    aggregations = [Aggregation("n", Operation.SUM, lengths)]
    more = {"derivations": list(derivations)} if derivations else {}
    declared = group_by(f"shop.{name}", keys, aggregations, dialect=dialect, **more)
    return Plan(declared, TYPES)


class CountingStore(MemoryStore):
    """A store that counts how often it is read, and fails to read a dataset."""

    reads = 0
    broken: str | None = None

    def multi_get(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        self.reads += 1
        if any(request.dataset == self.broken for request in requests):
            raise OSError("the disk is on fire")
        return super().multi_get(requests)


def stored() -> CountingStore:
    """The store with the rows of `EVENTS`."""
    MemoryStore.forget("joins")
    store = CountingStore("joins")
    for name, events in EVENTS.items():
        plan = plan_of(name)
        for number, (key, value) in enumerate(events):
            ts_ms, dataset = AT_MS - 60_000 + number, plan.group_by.streaming_dataset
            row = plan.rows.encode([value])
            put = PutRequest(plan.keys.encode(key), row, dataset, ts_ms, ts_ms, 0, str(number))
            store.multi_put([put])
    return store


def part(group_by: GroupBy, **more: Any) -> dict[str, Any]:
    return {"groupBy": group_by.to_thrift(), **more}


def external(name: str, keys: Mapping[str, int], values: Mapping[str, int]) -> dict[str, Any]:
    """An external part; keys and values are names with the ids of their kinds."""

    def struct(fields: Mapping[str, int]) -> dict[str, Any]:
        params = [{"name": each, "dataType": {"kind": kind}} for each, kind in fields.items()]
        return {"kind": 13, "name": f"ext_{name}", "params": params}

    schemas = {"keySchema": struct(keys), "valueSchema": struct(values)}
    return {"source": {"metadata": {"name": name}, **schemas}}


ACCOUNTS = {**external("accounts", {"id": 4}, {"age": 4}), "keyMapping": {"buyer": "id"}}
CONTEXT = external("contextual", {"page": 4}, {"page": 4})


def join_of(
    derivations: Sequence[Derivation] = (),
    external_parts: Sequence[dict[str, Any]] = (),
    dialect: Dialect = AIRBNB,
    users: Sequence[Any] = (),
) -> Join:
    """Buyers and sellers, and what a user bought in a shop."""
    user = plan_of("users", users, dialect).group_by
    conf = {
        "metaData": {"name": "shop.checkout"},
        "joinParts": [
            part(user, keyMapping={"buyer": "user"}, prefix="buyer"),
            part(user, keyMapping={"seller": "user"}, prefix="seller"),
            part(plan_of("shops", (), dialect).group_by, keyMapping={"buyer": "user"}),
        ],
        "onlineExternalParts": list(external_parts),
        "derivations": [{"name": d.name, "expression": d.expression} for d in derivations],
    }
    return parse_join_conf(conf, dialect)


def fetcher_of(
    join: Join,
    store: MemoryStore | None = None,
    handlers: Handlers | None = None,
    derive: Derive | None = None,
) -> JoinFetcher:
    opened = store or stored()
    parts = {
        each.group_by.name: Fetcher(Plan(each.group_by, TYPES), opened, tiled=False)
        for each in join.parts
    }
    return JoinFetcher(join, opened, parts, handlers or {}, derive)
