"""Batch values of the real Chronon: their bytes, and queries that merge them with a stream."""

import base64
import json
from dataclasses import replace
from typing import Any

import fastavro_records
import pytest
from test_vectors import one_nan, refused, same_value
from vectors import Vector, of_tiles, same, vectors

from chronon_beam.aggregator.batch_fold import ZONE, BatchFold, Partial, pack
from chronon_beam.aggregator.batch_ir import FinalBatchIr
from chronon_beam.aggregator.layout import floor_to
from chronon_beam.aggregator.plan import Plan
from chronon_beam.aggregator.sawtooth import Batch, WindowedRows
from chronon_beam.api.data_types import FLOAT, StructType
from chronon_beam.api.dialect import Operation
from chronon_beam.api.group_by import GroupBy


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    found = vectors(metafunc.config.getoption("--golden"))
    chosen = [v for v in found if "batch" in v.data and "events" in v.data and not refused(v)]
    metafunc.parametrize("vector", [pytest.param(v, id=v.name) for v in chosen])


def reduced(vector: Vector) -> GroupBy | None:
    """The GroupBy without structs, which Chronon writes as all-null records from the second column
    on that holds one."""
    group_by = vector.group_by
    kept = [
        aggregation
        for aggregation in group_by.aggregations
        if not isinstance(vector.types[aggregation.input_column], StructType)
        and not aggregation.element_wise
    ]
    return replace(group_by, aggregations=tuple(kept)) if kept else None


MARKERS = {"tiled": "tile_bytes", "untiled": "raw_value_bytes"}
"""The field of an event in a vector that Chronon wrote when it took the event.

Chronon's untiled encoder refuses shorts, which its tiles take. The batches of the vectors were made
of the events that the untiled encoder took.
"""


def rows_of(vector: Vector, plan: Plan, kind: str) -> list[tuple[list[Any], int, list[Any]]]:
    """(key, ts_ms, inputs) of the events that Chronon took."""
    rows = []
    for event in vector.data["events"]:
        row = event["row"]
        if MARKERS[kind] in event and row.get("ts") is not None:
            everything = dict(zip(vector.plan.inputs, vector.inputs(row), strict=True))
            key = [row.get(name) for name in vector.group_by.keys]
            rows.append((key, int(row["ts"]), [everything[name] for name in plan.inputs]))
    return rows


def folded(vector: Vector, plan: Plan) -> dict[bytes, bytes]:
    """Our batch value of each key."""
    fold = BatchFold(plan, vector.data["batch"]["batch_end_ts"])
    return {
        key: value
        for key, partial in partials_of(vector, plan, fold).items()
        if (value := fold.value([pack(partial, plan.tiles)])) is not None
    }


def partials_of(vector: Vector, plan: Plan, fold: BatchFold) -> dict[bytes, Partial]:
    """What the rows of each key are folded into."""
    partials: dict[bytes, Partial] = {}
    for key, ts_ms, row in rows_of(vector, plan, "untiled"):
        fold.add(partials.setdefault(vector.key(key), {}), row, ts_ms)
    return partials


def merged_keys(vector: Vector, plan: Plan) -> set[bytes]:
    """The keys of which several zones are merged, where Chronon adds all rows to one IR, or merges
    those of its partitions: the values are the same, but not the order of heaps and sums."""
    fold = BatchFold(plan, vector.data["batch"]["batch_end_ts"])
    partials = partials_of(vector, plan, fold)
    return {
        key
        for key, partial in partials.items()
        if len([slot for slot in partial if slot.kind == ZONE]) > 1
    }


def check_same_values(plan: Plan, found: bytes, theirs: bytes) -> None:
    """Equal once features were made of them, column by column; which of equally frequent values a
    sketch keeps depends on the order."""
    ours, wanted = plan.batch_irs.decode(found), plan.batch_irs.decode(theirs)
    for index, feature in enumerate(plan.group_by.features):
        column = plan.aggregator.columns[feature.tile_index]
        if column.operation.round_trip is not None:
            continue
        mine, other = (
            column.finalize(column.merge_window(ir.collapsed[index], ())) for ir in (ours, wanted)
        )
        assert same_value(mine, other, 1e-6), feature.name
    for of_size, wanted_of_size in zip(ours.tail_hops, wanted.tail_hops, strict=True):
        starts = [hop.start_ms for hop in of_size]
        assert starts == [hop.start_ms for hop in wanted_of_size]


def test_batch_schemas_are_chronons(vector: Vector) -> None:
    if any(aggregation.element_wise for aggregation in vector.group_by.aggregations):
        return  # Chronon forgets elementWise here.
    plan = vector.plan
    assert plan.batch_irs.schema == json.loads(vector.data["ir_avro_schema"])
    assert plan.outputs.schema == json.loads(vector.data["output_avro_schema"])
    assert plan.group_by.batch_dataset == vector.data["batch_dataset"]


def test_batch_irs_are_chronons(vector: Vector) -> None:
    group_by = reduced(vector)
    if group_by is None:
        return
    plan = Plan(group_by, vector.types)
    ours, of_zones = folded(vector, plan), merged_keys(vector, plan)
    for key, theirs in chronons(vector).items():
        # Chronon writes empty values for keys of which it took no row.
        found = ours.pop(key, None) or plan.batch_irs.encode(
            FinalBatchIr([None] * len(group_by.features), [[], [], []])
        )
        if key in of_zones:
            check_same_values(plan, found, theirs)
        else:
            if group_by == vector.group_by:
                assert one_nan(found) == one_nan(theirs)
            check_same(vector, plan, found, theirs)
        # What Chronon wrote is read, and written again, as it was.
        assert plan.batch_irs.encode(plan.batch_irs.decode(found)) == found
    assert not ours


def chronons(vector: Vector) -> dict[bytes, bytes]:
    """Chronon's batch value of each key; those of rows that lacked a key column have none."""
    return {
        vector.key(ir["key"]): base64.b64decode(ir["batch_ir_bytes"])
        for ir in vector.data["batch"]["irs"]
        if len(ir["key"]) == len(vector.group_by.keys)
    }


def check_same(vector: Vector, plan: Plan, found: bytes, theirs: bytes) -> None:
    """Equal once decoded, column by column."""
    decoded = fastavro_records.decoded(json.loads(vector.data["ir_avro_schema"]), theirs)
    ours = fastavro_records.decoded(plan.batch_irs.schema, found)
    parts = [feature.part for feature in vector.group_by.features]
    known = {feature.name for feature in plan.group_by.features}
    wanted = zip(parts, decoded["collapsedIr"].values(), strict=True)
    collapsed = [(part, ir) for part, ir in wanted if part.column in known]
    for (part, ir), mine in zip(collapsed, ours["collapsedIr"].values(), strict=True):
        assert same(bare(mine), bare(ir)), part.column
    tile_parts = vector.group_by.tile_parts
    kept = {part.column for part in plan.group_by.tile_parts}
    for theirs_of, ours_of in zip(decoded["tailHopIrs"], ours["tailHopIrs"], strict=True):
        starts = {list(hop.values())[-1]: list(hop.values()) for hop in theirs_of}
        for hop in ours_of:
            *irs, start = hop.values()
            wanted = zip(tile_parts, starts.pop(start), strict=False)
            columns = [(part, ir) for part, ir in wanted if part.column in kept]
            for (part, ir), mine in zip(columns, irs, strict=True):
                assert same(bare(mine), bare(ir)), part.column
        # Left are hops of columns that we left out.
        assert not starts or len(kept) < len(tile_parts)


def bare(ir: Any) -> Any:
    """Records by position: repeated names are numbered by what stands before them."""
    if isinstance(ir, dict) and any(
        key.startswith(("epochMillis", "sum", "count", "mean", "m2")) for key in ir
    ):
        return [bare(item) for item in ir.values()]
    return [bare(item) for item in ir] if isinstance(ir, list) else ir


@pytest.mark.parametrize("kind", ["tiled", "untiled"])
def test_features_with_and_without_batch_are_chronons(vector: Vector, kind: str) -> None:
    group_by = reduced(vector)
    if group_by is None or (kind == "tiled" and vector.data["tile_size_millis"] is None):
        return
    plan = Plan(group_by, vector.types)
    theirs = chronons(vector)
    ours = folded(vector, plan)
    whole = group_by == vector.group_by
    for query in vector.data["queries"]:
        expected = query.get(kind) or (query.get("untiled_same") and query["tiled"])
        if not expected:
            continue
        values = (theirs if whole else ours) if query["batch"] else {}
        answer = answered(vector, plan, query, kind, values)
        for feature in plan.group_by.features:
            found, wanted = answer[feature.name], expected[feature.name]
            if feature.part.operation is Operation.HISTOGRAM and feature.part.arguments and found:
                # Of equally frequent values Chronon keeps those that its Java map has first.
                found, wanted = len(found), len(wanted)
            kinds = plan.aggregator.columns[feature.tile_index].operation.output_type.name
            tolerance = 1e-6 if FLOAT.name in kinds else 1e-9
            assert same_value(found, wanted, tolerance), (feature.name, query)


def answered(
    vector: Vector, plan: Plan, query: dict[str, Any], kind: str, values: dict[bytes, bytes]
) -> dict[str, Any]:
    key = vector.key(query["key"])
    ends = vector.data["batch"]
    value = values.get(key)
    end_ms = ends["batch_end_ts"] if query["batch"] else ends["no_batch_end_ts"]
    batch = Batch(end_ms, plan.batch_irs.decode(value) if value else None, value=value or b"")
    last = query.get("after_event", len(vector.data["events"]))
    taken = [e for e in vector.data["events"] if e["i"] <= last]
    sofar = Vector(vector.path)
    sofar.__dict__["data"] = {**vector.data, "events": taken}
    rows = [
        (ts_ms, row)
        for row_key, ts_ms, row in rows_of(sofar, plan, kind)
        if vector.key(row_key) == key
    ]
    if kind == "untiled":
        return WindowedRows(plan.group_by, plan.inputs).of_rows(rows, query["query_ts"], batch)
    tiles: dict[int, list[Any]] = {}
    (spec,) = plan.specs
    for ts_ms, row in rows:
        tile = tiles.setdefault(floor_to(ts_ms, spec.size_ms), plan.aggregator.zero())
        plan.aggregator.update(tile, row, ts_ms)
    return of_tiles(plan, tiles, query["query_ts"], batch)
