"""The bytes and values of the real Chronon, operation by operation.

`pytest tests/golden --golden DIR` runs these on another folder of vectors of the same form.
"""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from vectors import Vector, same, vectors

from chronon_beam.aggregator.avro import Decoder
from chronon_beam.aggregator.codecs import complete
from chronon_beam.aggregator.layout import floor_to
from chronon_beam.aggregator.operations import SUPPORTED
from chronon_beam.aggregator.plan import Plan
from chronon_beam.aggregator.sawtooth import Sawtooth, TiledIr, WindowedRows
from chronon_beam.aggregator.tile_key import tile_key
from chronon_beam.api.data_types import FLOAT, MapType, StructType
from chronon_beam.api.dialect import Operation
from chronon_beam.api.group_by import AggregationPart, GroupBy, GroupByError

HASH_ORDERED = {Operation.UNIQUE_COUNT, Operation.HISTOGRAM}


def unsupported(group_by: GroupBy) -> list[str]:
    """Why parts of a GroupBy cannot be run yet."""
    operations = {p.operation.name for p in group_by.tile_parts if p.operation not in SUPPORTED}
    element_wise = {"elementWise" for part in group_by.tile_parts if part.element_wise}
    return sorted(operations | element_wise)


def supported_part(group_by: GroupBy) -> GroupBy:
    """The GroupBy without the aggregations that cannot be run yet."""
    kept = [a for a in group_by.aggregations if a.operation in SUPPORTED and not a.element_wise]
    return replace(group_by, aggregations=tuple(kept))


def upstream_defect(vector: Vector, part: AggregationPart, first: bool) -> bool:
    """Chronon writes structs as all-null records from the second column on that holds one."""
    return isinstance(vector.types[part.input_column], StructType) and not first


def refused(vector: Vector) -> bool:
    """Whether Chronon refuses the GroupBy, or fails on every event for its type."""
    errors = [str(event.get("tiled_error")) for event in vector.data["events"]]
    ill_typed = bool(errors) and all("ClassCastException" in error for error in errors)
    return "construct_error" in vector.data or ill_typed


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "vector" not in metafunc.fixturenames:
        return
    found = [v for v in vectors(metafunc.config.getoption("--golden")) if "events" in v.data]
    wants = {
        "refused": refused,
        "whole": lambda v: "schema" in v.data and not refused(v),
        "some": lambda v: "schema" in v.data and not refused(v),
    }
    kind = next(name for name in wants if name in metafunc.function.__name__)
    chosen = [v for v in found if wants[kind](v)]
    metafunc.parametrize(
        "vector", [pytest.param(v, id=v.name, marks=_marks(v, kind)) for v in chosen]
    )


def _marks(vector: Vector, kind: str) -> list[pytest.MarkDecorator]:
    """Vectors that are not supported yet fail, with the reason, and only where they should."""
    missing = unsupported(vector.group_by)
    if kind != "whole" or not missing:
        return []
    reason = f"not supported yet: {', '.join(missing)}"
    return [pytest.mark.xfail(raises=GroupByError, strict=True, reason=reason)]


def accepted(vector: Vector) -> list[dict[str, Any]]:
    """Events that Chronon tiled; what it refused is typed wrongly, which no Arrow batch can be."""
    return [event for event in vector.data["events"] if "tile_bytes" in event]


def exact(plan: Plan) -> bool:
    """Whether the bytes of a tile depend on nothing but the events."""
    columns = plan.aggregator.columns
    hashed = any(column.part.operation in HASH_ORDERED for column in columns)
    return not hashed and not any(isinstance(c.operation.ir_type, MapType) for c in columns)


def normal(part: AggregationPart, ir: Any) -> Any:
    """An IR in an order that does not depend on a hash."""
    if isinstance(ir, dict):
        return {key: normal(part, value) for key, value in ir.items()}
    if part.operation is Operation.UNIQUE_COUNT and isinstance(ir, list):
        return sorted(ir, key=repr)
    return [normal(part, item) for item in ir] if isinstance(ir, (list, tuple)) else ir


def theirs_by_column(vector: Vector, tile: bytes) -> dict[int, Any]:
    """Column index to the decoded IR, of all columns of the vector's own schema."""
    decoded = Decoder(json.loads(vector.data["tile_avro_schema"]))(tile)
    return dict(enumerate(decoded["collapsedIr"].values()))


def plain(value: Any) -> Any:
    """Records as lists of their values: field names differ by dialect and repetition."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def test_refused_operations_stop_the_build(vector: Vector) -> None:
    with pytest.raises(GroupByError, match=r"(does not take|not supported yet)"):
        vector.plan.checked(tiled=True)


def test_whole_schemas_are_chronons(vector: Vector) -> None:
    plan, data = vector.plan, vector.data
    assert plan.keys.schema == json.loads(data["key_avro_schema"])
    assert plan.tiles.schema == json.loads(data["tile_avro_schema"])
    assert plan.group_by.streaming_dataset == data["streaming_dataset"]
    assert [f.name for f in plan.group_by.features] == data["output_fields"]
    if "value_avro_schema" in data:
        assert plan.rows.schema == json.loads(data["value_avro_schema"])
    if data["tile_size_millis"] is None:
        with pytest.raises(GroupByError, match="no aggregation has a window"):
            plan.checked(tiled=True)
    else:
        assert plan.group_by.tile_size_ms == data["tile_size_millis"]


def test_whole_tiles_are_chronons_bytes(vector: Vector) -> None:
    plan, rows = vector.plan, vector.plan.aggregator
    live: dict[tuple[bytes, int], list[Any]] = {}
    size_ms = vector.data["tile_size_millis"]
    defects = _defects(vector, plan)
    for event in accepted(vector):
        row = event["row"]
        key, start_ms = vector.key_of(row), floor_to(int(row["ts"]), size_ms)
        assert start_ms == event["tile_start"]
        assert start_ms + size_ms == event["tile_end"]
        assert key == base64.b64decode(event.get("key_bytes") or event["entity_key_bytes"])
        accumulator = live.setdefault((key, start_ms), rows.zero())
        rows.update(accumulator, vector.inputs(row), int(row["ts"]))
        _check_tile(vector, plan, accumulator, event["tile_bytes"], defects)
        if "put_key_bytes" in event:
            put = tile_key(plan.group_by.streaming_dataset, key, size_ms, start_ms)
            get = tile_key(plan.group_by.streaming_dataset, key, size_ms, None)
            assert put == base64.b64decode(event["put_key_bytes"])
            assert get == base64.b64decode(event["get_key_bytes"])
    for tile in vector.data.get("complete_tiles", []):
        accumulator = live[vector.key(tile["key"]), tile["tile_start"]]
        _check_tile(vector, plan, accumulator, tile["tile_bytes"], defects, closed=True)


def _defects(vector: Vector, plan: Plan) -> set[int]:
    structs = [
        i
        for i, part in enumerate(plan.group_by.tile_parts)
        if isinstance(vector.types[part.input_column], StructType)
        and part.operation is not Operation.COUNT
    ]
    return set(structs[1:])


def _check_tile(
    vector: Vector,
    plan: Plan,
    accumulator: list[Any],
    expected: str,
    defects: set[int],
    *,
    closed: bool = False,
) -> None:
    theirs = base64.b64decode(expected)
    ours = plan.tiles.encode(accumulator)
    ours = complete(ours) if closed else ours
    if exact(plan) and not defects:
        assert ours == theirs
    decoded = theirs_by_column(vector, ours)
    assert ours[-2:] == theirs[-2:]
    for index, ir in theirs_by_column(vector, theirs).items():
        part = plan.group_by.tile_parts[index]
        if index not in defects:
            assert same(normal(part, decoded[index]), normal(part, ir)), part.column
    # What a tile is decoded to encodes to the same bytes: the log can be replayed from it.
    assert plan.tiles.encode(plan.tiles.decode(ours)[0])[:-2] == ours[:-2]


def test_some_rows_are_chronons_bytes(vector: Vector) -> None:
    """Rows need no operation, so there is none that is not supported."""
    rows = vector.plan.rows
    maps = any(isinstance(kind, MapType) for kind in rows.columns.values())
    for event in vector.data["events"]:
        if "raw_value_bytes" in event:
            encoded = rows.encode(vector.inputs(event["row"]))
            expected = base64.b64decode(event["raw_value_bytes"])
            # A Java map has an order of its own.
            assert encoded == expected or (maps and rows.decode(encoded) == rows.decode(expected))


def test_some_columns_are_chronons_where_others_are_not_supported_yet(vector: Vector) -> None:
    reduced = supported_part(vector.group_by)
    if not reduced.aggregations or vector.data["tile_size_millis"] is None:
        # Nothing of it is supported, or it has no tiles; the other tests say so.
        assert unsupported(vector.group_by) or vector.data["tile_size_millis"] is None
        return
    plan = Plan(reduced, vector.types)
    known = [
        (index, part)
        for index, part in enumerate(vector.group_by.tile_parts)
        if part.operation in SUPPORTED and not part.element_wise
    ]
    live: dict[tuple[bytes, int], list[Any]] = {}
    defects = _defects(vector, plan)
    for event in accepted(vector):
        row = event["row"]
        everything = dict(zip(vector.plan.inputs, vector.inputs(row), strict=True))
        accumulator = live.setdefault(
            (vector.key_of(row), event["tile_start"]), plan.aggregator.zero()
        )
        plan.aggregator.update(accumulator, [everything[n] for n in plan.inputs], int(row["ts"]))
        theirs = theirs_by_column(vector, base64.b64decode(event["tile_bytes"]))
        ours = Decoder(plan.tiles.schema)(plan.tiles.encode(accumulator))["collapsedIr"]
        for position, ((index, part), ir) in enumerate(zip(known, ours.values(), strict=True)):
            if position not in defects:
                ours_plain, theirs_plain = plain(_values(ir)), plain(_values(theirs[index]))
                assert same(normal(part, ours_plain), normal(part, theirs_plain)), part.column


def _values(ir: Any) -> Any:
    """Records by position, since repeated names are numbered by what stands before them."""
    if isinstance(ir, dict) and any("epochMillis" in key for key in ir):
        return [_values(item) for item in ir.values()]
    if isinstance(ir, dict) and any(key.startswith(("sum", "count", "mean", "m2")) for key in ir):
        return list(ir.values())
    return [_values(item) for item in ir] if isinstance(ir, list) else ir


def test_some_features_are_chronons_values(vector: Vector) -> None:
    """`queries[]` without batch, of the operations that are supported."""
    reduced = supported_part(vector.group_by)
    if not reduced.aggregations:
        assert unsupported(vector.group_by)
        return
    plan = Plan(reduced, vector.types)
    names = {feature.name for feature in reduced.features}
    floats = {
        f.name
        for f in reduced.features
        if FLOAT.name in plan.aggregator.columns[f.tile_index].operation.output_type.name
    }
    cut = {f.name for f in reduced.features if f.part.operation is Operation.HISTOGRAM}
    cut = {f.name for f in reduced.features if f.name in cut and f.part.arguments}
    for query in vector.data["queries"]:
        if query.get("batch"):
            continue
        for kind in ("tiled", "untiled"):
            expected = query.get(kind)
            if expected is None:
                expected = query["tiled"] if query.get("untiled_same") else None
            if expected is None or (kind == "tiled" and _has_structs(vector)):
                continue
            ours = _features(vector, plan, query, kind)
            for name in names:
                found, wanted = ours[name], expected[name]
                if name in cut and found is not None:
                    # Chronon keeps whichever of the values as frequent as the k-th its Java map
                    # has first, even over more frequent ones.
                    found, wanted = len(found), len(wanted)
                tolerance = 1e-6 if name in floats else 1e-9
                assert same_value(found, wanted, tolerance), (name, kind, query["query_ts"])


def same_value(ours: Any, theirs: Any, tolerance: float) -> bool:
    """As `same`; structs come as the list of their values, floats as their shortest digits."""
    if isinstance(ours, dict) and isinstance(theirs, list):
        return same(list(ours.values()), theirs)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(
            same_value(a, b, tolerance) for a, b in zip(ours, theirs, strict=True)
        )
    if isinstance(ours, float) and isinstance(theirs, (int, float)):
        return abs(ours - theirs) <= tolerance * max(abs(ours), abs(theirs), 1e-300) or same(
            ours, theirs
        )
    return same(ours, theirs)


def _has_structs(vector: Vector) -> bool:
    return any(isinstance(kind, StructType) for kind in vector.types.values())


def _features(vector: Vector, plan: Plan, query: dict[str, Any], kind: str) -> dict[str, Any]:
    key = vector.key(query["key"])
    from_ms = _batch_end_ms(vector)
    last = query.get("after_event", len(vector.data["events"]))
    rows = []
    marker = "tile_bytes" if kind == "tiled" else "raw_value_bytes"
    for event in vector.data["events"]:
        usable = marker in event or "put_key_bytes" in event
        if event["i"] <= last and usable and event["row"].get("ts") is not None:
            row = event["row"]
            everything = dict(zip(vector.plan.inputs, vector.inputs(row), strict=True))
            if vector.key_of(row) == key and int(row["ts"]) >= from_ms:
                rows.append((int(row["ts"]), [everything[name] for name in plan.inputs]))
    if kind == "untiled":
        return WindowedRows(plan.group_by, plan.inputs).of_rows(rows, query["query_ts"])
    tiles: dict[int, list[Any]] = {}
    spec = plan.specs[0]
    for ts_ms, row in rows:
        accumulator = tiles.setdefault(floor_to(ts_ms, spec.size_ms), plan.aggregator.zero())
        plan.aggregator.update(accumulator, row, ts_ms)
    irs = [TiledIr(spec, start_ms, accumulator) for start_ms, accumulator in tiles.items()]
    return Sawtooth(plan.group_by, plan.aggregator.columns).of_tiles(
        irs, plan.specs, query["query_ts"]
    )


def _batch_end_ms(vector: Vector) -> int:
    """Streaming values count from the day whose batch is taken to be missing."""
    batch = vector.data.get("batch") or {}
    return batch.get("no_batch_end_ts", -(1 << 62))
