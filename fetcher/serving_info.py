"""The note of a job that a reader needs: the GroupBy, types of its columns, layout, versions.

A job writes the note to the store when it starts, as Chronon writes its `GroupByServingInfo`. So a
fetch needs neither Spark, nor the source, nor the GroupBy's file: see `catalog`. The note also says
what a later job must know to continue the dataset: see `changes`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from chronon_beam.aggregator.avro import Schema
from chronon_beam.aggregator.plan import Plan
from chronon_beam.aggregator.versions import TileVersion, columns_of
from chronon_beam.api.data_types import DataType, from_json, to_json
from chronon_beam.api.group_by import GroupBy, GroupByError, Query
from chronon_beam.api.records import GetRequest, PutRequest
from chronon_beam.api.thrift_json import declaration_of
from chronon_beam.api.validation import require_computable
from chronon_beam.fetcher.batch_info import METADATA as DATASET
from chronon_beam.fetcher.batch_info import VALUE_MS as _SIZE_MS
from chronon_beam.fetcher.batch_info import (
    BatchInfo,
    batch_key,
    check_dialect,
    read_batch,
    require_all,
)
from chronon_beam.fetcher.readable_store import ReadableStore, WritableStore


@dataclass(frozen=True)
class ServingInfo:
    """A job's plan, and whether it writes tiles.

    Attributes:
        batch: the batch values to merge with; None without an upload.
        streamed: whether the store holds tiles or rows; False for batch values alone.
        shards: into how many shards the job's state is split; None if that is not known.
    """

    plan: Plan
    tiled: bool
    batch: BatchInfo | None = None
    streamed: bool = True
    shards: int | None = None

    @property
    def versions(self) -> tuple[TileVersion, ...]:
        """The versions of the dataset's tiles; empty for rows."""
        first = TileVersion.first(self.plan.group_by, self.plan.types)
        return (self.plan.versions or (first,)) if self.tiled else ()

    def with_versions(self, versions: tuple[TileVersion, ...]) -> "ServingInfo":
        """This info, for a dataset with tiles of these versions."""
        return replace(self, plan=replace(self.plan, versions=versions))

    def to_bytes(self) -> bytes:
        """The note, as JSON."""
        plan, source = self.plan, self.plan.group_by.source
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
                "versions": [version.to_json() for version in self.versions],
                "source": {"kind": source.kind, **vars(source.query)},
                "shards": self.shards,
                "declaration": declaration_of(plan.group_by),
            }
        ).encode()


@dataclass(frozen=True)
class StoredInfo:
    """The note of the job that wrote to a dataset last, as it is in the store.

    Attributes:
        tiling: `tiled` or `untiled`.
        schema: the Avro schema of a tile or of a row.
        kind, query: of the source; None in notes of earlier versions, which lack them.
        versions: of the tiles; empty for rows, and in notes of earlier versions.
    """

    dialect: str
    tiling: str
    layout: str
    key_schema: Schema
    types: Mapping[str, DataType]
    schema: Schema
    tile_sizes_ms: list[int]
    kind: str | None = None
    query: Query | None = None
    shards: int | None = None
    versions: tuple[TileVersion, ...] = field(default=())

    def families(self, group_by: GroupBy) -> set[tuple[int, int]]:
        """The result of `families` for the tiles that the last job has written."""
        declared = replace(group_by, aggregations=self.versions[-1].aggregations)
        return families(Plan(declared, self.types, self.layout))

    @staticmethod
    def from_bytes(noted: bytes) -> "StoredInfo":
        """Read what `ServingInfo.to_bytes` made; fields of later versions are left out."""
        known = {each.name for each in fields(StoredInfo)} | {"source"}
        found = {name: value for name, value in json.loads(noted).items() if name in known}
        source = found.pop("source", None)
        types = {name: from_json(kind) for name, kind in found.pop("types").items()}
        versions = tuple(map(TileVersion.from_json, found.pop("versions", ())))
        query = None if source is None else _query(source)
        kind = source and source["kind"]
        return StoredInfo(types=types, versions=versions, query=query, kind=kind, **found)


def _query(source: Mapping[str, Any]) -> Query:
    selects = source["selects"]
    return Query(
        None if selects is None else tuple((name, text) for name, text in selects),
        tuple(source["wheres"]),
        source["time_column"],
        tuple(source["setups"]),
        source["mutation_time_column"],
        source["reversal_column"],
    )


def write(store: WritableStore, info: ServingInfo) -> None:
    """Write the note; raises GroupByError if the store refuses it."""
    group_by = info.plan.group_by
    key = group_by.name.encode()
    reason = store.multi_put([PutRequest(key, info.to_bytes(), DATASET, 0, 0, _SIZE_MS)])[0]
    if reason is not None:
        raise GroupByError(f"{group_by.name}: the store cannot be written: {reason}")


def stored_info(store: ReadableStore, group_by: GroupBy) -> StoredInfo | None:
    """The note on a GroupBy's dataset; None without one."""
    found = store.multi_get([GetRequest(group_by.name.encode(), DATASET, 0, 1, _SIZE_MS)])[0]
    return StoredInfo.from_bytes(found[0].value_bytes) if found else None


def stored_batch(store: ReadableStore, group_by: GroupBy) -> BatchInfo | None:
    """The note on a GroupBy's batch values; None without one.

    Raises:
        GroupByError: see `read_batch`.
    """
    noted = store.multi_get([batch_key(group_by)])[0]
    return read_batch(noted[0].value_bytes, group_by) if noted else None


def check_together(info: ServingInfo, batch: BatchInfo) -> None:
    """Refuse a stream and batch values whose IRs cannot be merged; raises GroupByError."""
    name, types = info.plan.group_by.name, info.plan.types
    if info.plan.layout == "sliding":
        raise GroupByError(
            f"{name}: tiles of layout sliding hold whole windows, which cannot be merged with "
            "batch values: use --layout=tumbling, or another store for one of the two"
        )
    if batch.is_snapshot:
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
    stored = stored_info(store, group_by)
    if stored is not None:
        check_dialect(stored.dialect, group_by)
        plan = Plan(group_by, stored.types, stored.layout)
        check_together(ServingInfo(plan, stored.tiling == "tiled"), batch)


def load(store: ReadableStore, group_by: GroupBy) -> ServingInfo:
    """The notes of the jobs that wrote `group_by`.

    Raises:
        GroupByError: there is no note, or no job can write it: see `require_computable`.
    """
    return combine(stored_info(store, group_by), stored_batch(store, group_by), group_by)


def combine(stored: StoredInfo | None, batch: BatchInfo | None, group_by: GroupBy) -> ServingInfo:
    """The info of `group_by` from the notes of its job and its upload; raises as `load` does."""
    require_computable(group_by)
    if stored is None and batch is None:
        raise GroupByError(
            f"the store holds nothing of GroupBy {group_by.name!r}: run the job first, with "
            "`chronon-beam run` and the same --group_by and --store"
        )
    if stored is None:
        assert batch is not None
        require_all(batch, group_by)
        plan = Plan(group_by, batch.plan.types)
        return ServingInfo(plan, tiled=False, batch=batch, streamed=False)
    return replace(_read(stored, group_by), batch=batch)


def _read(stored: StoredInfo, group_by: GroupBy) -> ServingInfo:
    check_dialect(stored.dialect, group_by)
    plan = Plan(group_by, stored.types, stored.layout, stored.versions)
    different = _not_written(stored, plan)
    if different is not None:
        raise GroupByError(
            f"{group_by.name}: its data was written {different}: give the GroupBy as it was when "
            "the job ran, or run the job again into another store"
        )
    return ServingInfo(plan, stored.tiling == "tiled", shards=stored.shards)


def _not_written(stored: StoredInfo, plan: Plan) -> str | None:
    """What a GroupBy declares that is not in the data; None if all of it is.

    A reader may have fewer columns than the tiles, in any order, so that readers go on when a job
    adds some.
    """
    group_by, types = plan.group_by, stored.types
    unknown = [name for name in (*group_by.keys, *group_by.aggregation_inputs) if name not in types]
    if unknown:
        return f"without column {unknown[0]!r}"
    if plan.keys.schema != stored.key_schema:
        return "with other keys"
    if not stored.versions:
        return _not_the_same(stored, plan)
    last = stored.versions[-1]
    missing = [each for each in columns_of(group_by, types) if each not in last.columns]
    if missing:
        return f"{_OTHER_COLUMNS}, without {missing[0].part.column}"
    if not families(plan) <= stored.families(group_by):
        return _OTHER_SIZES
    absent = [feature for feature in group_by.features if feature.part not in last.features]
    if absent and plan.layout == "sliding":
        return f"{_OTHER_COLUMNS}, without {absent[0].name}"
    return None


def _not_the_same(stored: StoredInfo, plan: Plan) -> str | None:
    """As `_not_written`, for rows, and for notes of earlier versions, which lack `versions`."""
    tiled = stored.tiling == "tiled"
    if stored.schema != (plan.tiles.schema if tiled else plan.rows.schema):
        return _OTHER_COLUMNS
    sizes = [spec.size_ms for spec in plan.specs] if tiled else []
    return None if sizes == stored.tile_sizes_ms else _OTHER_SIZES


def families(plan: Plan) -> set[tuple[int, int]]:
    """The size and the period, in milliseconds, of each family of tiles."""
    return {(spec.size_ms, spec.period_ms) for spec in plan.specs}


_OTHER_COLUMNS = "with other aggregations"
_OTHER_SIZES = "in tiles of other sizes, for other windows"
