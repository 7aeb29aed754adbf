"""Reading vectors of fetches: what Chronon's own Fetcher answers over what this project writes.

Each file below `vectors/fetch` (GroupBys by themselves) and `vectors/joins` is one case:

    case, about        its name, and what it shows
    chronon, dialect   whose Fetcher has answered
    group_bys          by name: conf (Thrift JSON), types (name and DDL of each column),
                       batch_end_ms, batch_dataset, tiled, and serving_info: what our upload writes
                       for Chronon beside `groupBy`; null where nothing was uploaded
    kv                 what the store holds: dataset, key and value (base64), ts_ms (the start of a
                       tile), size_ms (of a tile; 0 for rows, 1 for batch values)
    join_name, join    what is fetched, in Thrift JSON; `join` is null where no such join was
                       uploaded, and both are absent where GroupBys are fetched
    external           by name of an external source: its `values`, or why it `fails`
    failing, broken    datasets that cannot be read; whether each read of the store fails
    absent             `fails`: zipline's store failed for a key that it does not have, as airbnb's
                       stores do; without it, it gave nothing, as zipline's Bigtable store does
    schema             what Chronon tells of a join: keySchema, valueSchema, schemaHash
    requests           keys, at_ms, and the group_by where GroupBys are fetched
    answers            one per request, each fetched alone; null if the row has no answer. Else the
                       `features` of the row (null: no map at all) or its `error`; `fails`: the call
                       fails with this; `throws`: it fails at once, which Chronon's services do not
                       expect; `keys`: where the answer names other keys than the request

Names that end in `_exception` stand for errors; of their text the first line is kept.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vectors import parse_type

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.dialect import dialect
from chronon_beam.api.records import GetRequest, PutRequest, TimedValue
from chronon_beam.api.thrift_json import parse_group_by
from chronon_beam.fetcher.batch_info import BatchInfo
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.io.kv_store import MemoryStore
from chronon_beam.pipeline.derive import spark_derivations


class CaseStore(MemoryStore):
    """The store of a case: reads of some datasets fail, or all reads."""

    def __init__(self, name: str, failing: set[str], broken: bool) -> None:
        super().__init__(name)
        self.failing, self.broken = failing, broken

    def multi_get(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        if self.broken or any(each.dataset in self.failing for each in requests):
            raise ConnectionError("the store is down")
        return super().multi_get(requests)


@dataclass(frozen=True)
class FetchCase:
    """One file."""

    path: Path

    @cached_property
    def data(self) -> dict[str, Any]:
        return json.loads(self.path.read_text())

    @property
    def name(self) -> str:
        return f"{self.path.parent.name}/{self.path.stem}"

    @cached_property
    def asked(self) -> list[tuple[dict[str, Any], Any]]:
        """Each request with Chronon's answer."""
        return list(zip(self.data["requests"], self.data["answers"], strict=True))

    @cached_property
    def batches(self) -> dict[str, BatchInfo]:
        """By GroupBy, what its upload has noted."""
        found = {}
        for name, each in self.data["group_bys"].items():
            group_by = parse_group_by(json.dumps(each["conf"]), dialect(self.data["dialect"]), name)
            types = {column: parse_type(column, ddl) for column, ddl in each["types"]}
            found[name] = BatchInfo(Plan(group_by, types), each["batch_end_ms"])
        return found

    def store(self) -> CaseStore:
        """A store with the case's values, of which some cannot be read."""
        failing, broken = set(self.data.get("failing", ())), self.data.get("broken", False)
        store = CaseStore(f"{self.path}", failing, broken)
        store.multi_put([_put(each, index) for index, each in enumerate(self.data["kv"])])
        return store

    def fetchers(self, store: CaseStore) -> dict[str, Fetcher]:
        """By GroupBy that was uploaded, its fetcher."""
        notes = self.data["group_bys"]
        return {
            name: Fetcher(
                batch.plan,
                store,
                notes[name]["tiled"],
                batch,
                streamed=not batch.is_snapshot,
                derive=spark_derivations(batch.plan),
            )
            for name, batch in self.batches.items()
            if notes[name]["serving_info"] is not None
        }


def _put(entry: dict[str, Any], index: int) -> PutRequest:
    ts_ms = entry["ts_ms"]
    key, value = base64.b64decode(entry["key"]), base64.b64decode(entry["value"])
    position = "" if entry["size_ms"] else f"vector:{index}"
    return PutRequest(key, value, entry["dataset"], ts_ms, ts_ms, entry["size_ms"], position)


def fetch_cases(folder: Path) -> Iterator[FetchCase]:
    """All cases below a folder."""
    for path in sorted(folder.rglob("*.json")):
        yield FetchCase(path)
