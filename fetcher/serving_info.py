"""What a reader must know of the writer: the types of the columns, tiling and layout.

Written to the store when a job starts, as Chronon writes its `GroupByServingInfo`, so that fetching
needs neither Spark nor the source.
"""

import json
from dataclasses import dataclass
from typing import Protocol

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.data_types import from_json, to_json
from chronon_beam.api.group_by import GroupBy, GroupByError
from chronon_beam.api.records import GetRequest, PutRequest, TimedValue

DATASET = "CHRONON_METADATA"
_DECLARED = {
    "key_schema": "with other keys",
    "schema": "with other aggregations",
    "tile_sizes_ms": "in tiles of other sizes, for other windows",
}
_SIZE_MS = 1  # metadata is one value a GroupBy, replaced when it is written again


class Store(Protocol):
    """What this needs of a KV store."""

    def create(self, dataset: str) -> None:
        """Make room for a dataset."""
        ...

    def multi_get(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        """Values of each request."""
        ...

    def multi_put(self, requests: list[PutRequest]) -> list[str | None]:
        """Write; None or a reason for each."""
        ...


@dataclass(frozen=True)
class ServingInfo:
    """A job's plan, and whether it writes tiles."""

    plan: Plan
    tiled: bool

    def to_bytes(self) -> bytes:
        """As JSON."""
        plan = self.plan
        return json.dumps(
            {
                "group_by": plan.group_by.name,
                "dialect": plan.group_by.dialect.name,
                "tiling": "tiled" if self.tiled else "untiled",
                "layout": plan.layout,
                "key_schema": plan.keys.schema,
                "types": {name: to_json(kind) for name, kind in plan.types.items()},
                "schema": plan.tiles.schema if self.tiled else plan.rows.schema,
                "tile_sizes_ms": [spec.size_ms for spec in plan.specs] if self.tiled else [],
            }
        ).encode()


def save(store: Store, info: ServingInfo) -> None:
    """Write `info`.

    Raises:
        GroupByError: the store holds data of this GroupBy in another form, which the new job could
            neither merge with nor replace; or the write failed.
    """
    group_by = info.plan.group_by
    store.create(DATASET)
    stored = _stored(store, group_by)
    if stored is not None:
        _check_same(json.loads(stored), json.loads(info.to_bytes()), group_by)
    key = group_by.name.encode()
    reason = store.multi_put([PutRequest(key, info.to_bytes(), DATASET, 0, 0, _SIZE_MS)])[0]
    if reason is not None:
        raise GroupByError(f"{group_by.name}: the store cannot be written: {reason}")


def _check_same(old: dict[str, object], new: dict[str, object], group_by: GroupBy) -> None:
    for field in ("tiling", "layout", "dialect", "key_schema", "schema", "tile_sizes_ms"):
        if old[field] != new[field]:
            was, becomes = (
                ("another", "this") if field.endswith("schema") else (old[field], new[field])
            )
            raise GroupByError(
                f"{group_by.name}: the store holds data with {field} {was}, this job would write "
                f"{becomes}: the two cannot be read together; rename the GroupBy, or use another "
                "store"
            )


def load(store: Store, group_by: GroupBy) -> ServingInfo:
    """What the job that wrote `group_by` has noted; raises GroupByError if none has."""
    stored = _stored(store, group_by)
    if stored is None:
        raise GroupByError(
            f"the store holds nothing of GroupBy {group_by.name!r}: run the job first, with "
            "`chronon-beam run` and the same --group_by and --store"
        )
    found = json.loads(stored)
    if found["dialect"] != group_by.dialect.name:
        raise GroupByError(
            f"{group_by.name}: its data was written in dialect {found['dialect']}: "
            f"add --dialect={found['dialect']}"
        )
    types = {name: from_json(kind) for name, kind in found["types"].items()}
    info = ServingInfo(Plan(group_by, types, found["layout"]), found["tiling"] == "tiled")
    _check_declared(info, found)
    return info


def _check_declared(info: ServingInfo, found: dict[str, object]) -> None:
    """Refuse a GroupBy that is not the one of which the store holds data."""
    group_by, types = info.plan.group_by, info.plan.types
    unknown = [name for name in (*group_by.keys, *group_by.aggregation_inputs) if name not in types]
    if unknown:
        different = f"without column {unknown[0]!r}"
    else:
        now = json.loads(info.to_bytes())
        differs = {field: now[field] != found[field] for field in _DECLARED}
        different = next((what for field, what in _DECLARED.items() if differs[field]), None)
    if different is not None:
        raise GroupByError(
            f"{group_by.name}: its data was written {different}: give the GroupBy as it was when "
            "the job ran, or run the job again into another store"
        )


def _stored(store: Store, group_by: GroupBy) -> bytes | None:
    found = store.multi_get([GetRequest(group_by.name.encode(), DATASET, 0, 1, _SIZE_MS)])[0]
    return found[0].value_bytes if found else None
