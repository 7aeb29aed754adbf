"""The note of a job that a reader needs: the types of the columns, tiling and layout.

A job writes it to the store when it starts, as Chronon writes its `GroupByServingInfo`, so that a
fetch needs neither Spark nor the source.
"""

import json
from dataclasses import dataclass, replace

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.data_types import from_json, to_json
from chronon_beam.api.group_by import GroupBy, GroupByError
from chronon_beam.api.records import GetRequest, PutRequest
from chronon_beam.fetcher.batch_info import METADATA as DATASET
from chronon_beam.fetcher.batch_info import VALUE_MS as _SIZE_MS
from chronon_beam.fetcher.batch_info import BatchInfo, batch_key, read_batch
from chronon_beam.fetcher.readable_store import ReadableStore, WritableStore

_DECLARED = {
    "key_schema": "with other keys",
    "schema": "with other aggregations",
    "tile_sizes_ms": "in tiles of other sizes, for other windows",
}


@dataclass(frozen=True)
class ServingInfo:
    """A job's plan, and whether it writes tiles.

    Attributes:
        batch: the batch values to merge with; None without an upload.
        streamed: whether the store holds tiles or rows, and not only batch values.
    """

    plan: Plan
    tiled: bool
    batch: BatchInfo | None = None
    streamed: bool = True

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


def check(store: ReadableStore, info: ServingInfo, anew: bool = False) -> None:
    """Check that what a job is going to write fits what is in the store.

    Args:
        store: where it writes to.
        info: what it writes.
        anew: whether none of the tiles and rows that are there will stay.

    Raises:
        GroupByError: the store holds data of this GroupBy in another form, which the new job could
            neither merge with nor replace.
    """
    group_by = info.plan.group_by
    stored = None if anew else _stored(store, group_by)
    if stored is not None:
        _check_same(json.loads(stored), json.loads(info.to_bytes()), group_by)
    batch = _batch(store, group_by)
    if batch is not None:
        check_together(info, batch)


def save(store: WritableStore, info: ServingInfo, anew: bool = False) -> None:
    """Write `info`; arguments and errors are those of `check`, and the write may fail."""
    group_by = info.plan.group_by
    store.create(DATASET)
    check(store, info, anew)
    key = group_by.name.encode()
    reason = store.multi_put([PutRequest(key, info.to_bytes(), DATASET, 0, 0, _SIZE_MS)])[0]
    if reason is not None:
        raise GroupByError(f"{group_by.name}: the store cannot be written: {reason}")


def check_declared(store: ReadableStore, group_by: GroupBy, tiled: bool, layout: str) -> None:
    """Refuse what `save` would refuse, as far as that can be told without the source's types.

    Raises:
        GroupByError: the store holds data of this GroupBy in another form.
    """
    try:
        stored = _stored(store, group_by)
    except FileNotFoundError:
        return  # the store is made by the first write
    if stored is None:
        return
    found = json.loads(stored)
    types = {name: from_json(kind) for name, kind in found["types"].items()}
    try:
        now = json.loads(ServingInfo(Plan(group_by, types, layout), tiled).to_bytes())
    except (GroupByError, KeyError):
        return  # columns of other names or types: `save` compares them
    _check_same(found, now, group_by)


def _check_same(old: dict[str, object], new: dict[str, object], group_by: GroupBy) -> None:
    for field in ("tiling", "layout", "dialect", "key_schema", "schema", "tile_sizes_ms"):
        if old[field] != new[field]:
            was, becomes = (
                ("another", "this") if field.endswith("schema") else (old[field], new[field])
            )
            raise GroupByError(
                f"{group_by.name}: the store holds data with {field} {was}, this job would write "
                f"{becomes}: the two cannot be read together; rename the GroupBy, use another "
                "store, or have what is there dropped with --existing=replace"
            )


def check_together(info: ServingInfo, batch: BatchInfo) -> None:
    """Refuse a stream and batch values whose IRs cannot be merged; raises GroupByError."""
    name, types = info.plan.group_by.name, info.plan.types
    if info.plan.layout == "sliding":
        raise GroupByError(
            f"{name}: tiles of layout sliding hold whole windows, which cannot be merged with "
            "batch values: use --layout=tumbling, or another store for one of the two"
        )
    if batch.snapshot:
        raise GroupByError(
            f"{name}: its batch values are of accuracy SNAPSHOT, which are not merged with a "
            "stream: set accuracy to TEMPORAL and upload again, or use another store"
        )
    for column, kind in batch.plan.types.items():
        if types.get(column, kind) != kind:
            raise GroupByError(
                f"{name}: column {column!r} is {types[column].name} in the stream and {kind.name} "
                "in the batch: the two cannot be merged; cast it in the query's selects"
            )


def check_batch(store: ReadableStore, batch: BatchInfo) -> None:
    """Refuse batch values that cannot be merged with what is in the store; raises GroupByError."""
    group_by = batch.plan.group_by
    stored = _stored(store, group_by)
    if stored is not None:
        check_together(_read(stored, group_by), batch)


def load(store: ReadableStore, group_by: GroupBy) -> ServingInfo:
    """The notes of the jobs that wrote `group_by`; raises GroupByError if there is no note."""
    stored, batch = _stored(store, group_by), _batch(store, group_by)
    if stored is None and batch is None:
        raise GroupByError(
            f"the store holds nothing of GroupBy {group_by.name!r}: run the job first, with "
            "`chronon-beam run` and the same --group_by and --store"
        )
    if stored is None:
        assert batch is not None
        return ServingInfo(batch.plan, tiled=False, batch=batch, streamed=False)
    return replace(_read(stored, group_by), batch=batch)


def _read(stored: bytes, group_by: GroupBy) -> ServingInfo:
    found = json.loads(stored)
    _check_dialect(found, group_by)
    types = {name: from_json(kind) for name, kind in found["types"].items()}
    info = ServingInfo(Plan(group_by, types, found["layout"]), found["tiling"] == "tiled")
    _check_declared(info, found)
    return info


def _batch(store: ReadableStore, group_by: GroupBy) -> BatchInfo | None:
    noted = store.multi_get([batch_key(group_by)])[0]
    if not noted:
        return None
    _check_dialect(json.loads(noted[0].value_bytes), group_by)
    return read_batch(noted[0].value_bytes, group_by)


def _check_dialect(found: dict[str, object], group_by: GroupBy) -> None:
    if found["dialect"] != group_by.dialect.name:
        raise GroupByError(
            f"{group_by.name}: its data was written in dialect {found['dialect']}: "
            f"add --dialect={found['dialect']}"
        )


def _check_declared(info: ServingInfo, found: dict[str, object]) -> None:
    """Refuse a GroupBy that is not declared as the one whose data the store holds."""
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


def _stored(store: ReadableStore, group_by: GroupBy) -> bytes | None:
    found = store.multi_get([GetRequest(group_by.name.encode(), DATASET, 0, 1, _SIZE_MS)])[0]
    return found[0].value_bytes if found else None
