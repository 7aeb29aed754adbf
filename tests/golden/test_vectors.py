"""The bytes and values of the real Chronon, operation by operation.

`pytest tests/golden --golden DIR` runs these on another folder of vectors of the same form.
"""

import base64
import json
from typing import Any

import fastavro_records
import pytest
from vectors import Vector, of_tiles, same, vectors

from chronon_beam.aggregator.codecs import complete
from chronon_beam.aggregator.layout import floor_to
from chronon_beam.aggregator.plan import Plan
from chronon_beam.aggregator.sawtooth import WindowedRows
from chronon_beam.aggregator.tile_key import tile_key
from chronon_beam.api.data_types import FLOAT, StructType
from chronon_beam.api.dialect import Operation
from chronon_beam.api.group_by import Feature, GroupByError

_NAN, _NEGATIVE_NAN = bytes(6) + b"\xf8\x7f", bytes(6) + b"\xf8\xff"


def refused(vector: Vector) -> bool:
    """Whether Chronon refuses the GroupBy, or fails on every event for its type."""
    errors = [str(event.get("tiled_error")) for event in vector.data["events"]]
    ill_typed = bool(errors) and all("ClassCastException" in error for error in errors)
    return "construct_error" in vector.data or ill_typed


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "vector" not in metafunc.fixturenames:
        return
    found = [v for v in vectors(metafunc.config.getoption("--golden")) if "events" in v.data]
    is_wanted = refused if "refused" in metafunc.function.__name__ else runs
    chosen = [vector for vector in found if is_wanted(vector)]
    metafunc.parametrize("vector", [pytest.param(vector, id=vector.name) for vector in chosen])


def runs(vector: Vector) -> bool:
    """Whether Chronon runs the GroupBy."""
    return "schema" in vector.data and not refused(vector)


def accepted(vector: Vector) -> list[dict[str, Any]]:
    """Events that Chronon tiled; what it refused is typed wrongly, which no Arrow batch can be."""
    return [event for event in vector.data["events"] if "tile_bytes" in event]


def theirs_by_column(vector: Vector, tile: bytes) -> dict[int, Any]:
    """Column index to the decoded IR, of all columns of the vector's own schema."""
    decoded = fastavro_records.decoded(json.loads(vector.data["tile_avro_schema"]), tile)
    return dict(enumerate(decoded["collapsedIr"].values()))


def test_refused_operations_stop_the_build(vector: Vector) -> None:
    error = vector.data.get("construct_error", "ClassCastException")
    is_type = any(word in error for word in ("incompatible", "ClassCast", "Date type"))
    # What is refused for another reason than its type (two columns of one name, for example).
    other = r"declare|not supported|needs|cast it|select it"
    match = r"does not take .* it takes .* is taken by" if is_type else other
    with pytest.raises(GroupByError, match=match):
        vector.plan.checked(tiled=True)


def test_schemas_are_chronons(vector: Vector) -> None:
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


def test_tiles_are_chronons_bytes(vector: Vector) -> None:
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
    """Columns that Chronon writes as all-null records: structs, from the second of them on."""
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
    decoded = theirs_by_column(vector, ours)
    for index, ir in theirs_by_column(vector, theirs).items():
        if index not in defects:
            assert same(decoded[index], ir), plan.group_by.tile_parts[index].column
    if not defects:
        assert one_nan(ours) == one_nan(theirs)
    # What a tile is decoded to encodes to the same bytes: the log can be replayed from it.
    assert plan.tiles.encode(plan.tiles.decode(ours)[0])[:-2] == ours[:-2]


def one_nan(payload: bytes) -> bytes:
    """Bytes with the sign of doubles that are NaN left out: it depends on the processor, and in
    Java on what its compiler made of an expression."""
    return payload.replace(_NEGATIVE_NAN, _NAN)


def test_rows_are_chronons_bytes(vector: Vector) -> None:
    rows = vector.plan.rows
    for event in vector.data["events"]:
        if "raw_value_bytes" in event:
            encoded = rows.encode(vector.inputs(event["row"]))
            assert encoded == base64.b64decode(event["raw_value_bytes"])


def test_features_are_chronons_values(vector: Vector) -> None:
    """`queries[]` without batch."""
    plan = vector.plan
    for query in vector.data["queries"]:
        if query.get("batch"):
            continue
        for kind in ("tiled", "untiled"):
            expected = query.get(kind)
            if expected is None:
                expected = query["tiled"] if query.get("untiled_same") else None
            if expected is None:
                continue
            ours = _features(vector, plan, query, kind)
            for feature in _comparable(vector, plan, kind):
                output = plan.aggregator.columns[feature.tile_index].operation.output_type
                tolerance = 1e-6 if FLOAT.name in output.name else 1e-9
                found, wanted = ours[feature.name], expected[feature.name]
                assert same_value(found, wanted, tolerance), (feature.name, kind, query["query_ts"])


def _comparable(vector: Vector, plan: Plan, kind: str) -> list[Feature]:
    """The features without those that a bug of Chronon's changes.

    Structs come out of tiles as null from the second column on, and elementWise is lost where
    features are read.
    """
    defects = _defects(vector, plan) if kind == "tiled" else set()
    return [
        feature
        for feature in plan.group_by.features
        if feature.tile_index not in defects and not feature.part.element_wise
    ]


def same_value(ours: Any, theirs: Any, tolerance: float) -> bool:
    """As `same`; structs come as the list of their values, floats as their shortest digits."""
    if isinstance(ours, dict) and isinstance(theirs, list):
        return same_value(list(ours.values()), theirs, tolerance)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(
            same_value(a, b, tolerance) for a, b in zip(ours, theirs, strict=True)
        )
    if isinstance(ours, dict) and isinstance(theirs, dict) and "b64" not in theirs:
        return ours.keys() == theirs.keys() and all(
            same_value(ours[key], theirs[key], tolerance) for key in ours
        )
    if isinstance(ours, float) and isinstance(theirs, (int, float)):
        return abs(ours - theirs) <= tolerance * max(abs(ours), abs(theirs), 1e-300) or same(
            ours, theirs
        )
    return same(ours, theirs)


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
            if vector.key_of(row) == key and int(row["ts"]) >= from_ms:
                rows.append((int(row["ts"]), vector.inputs(row)))
    if kind == "untiled":
        return WindowedRows(plan.group_by, plan.inputs).of_rows(rows, query["query_ts"])
    tiles: dict[int, list[Any]] = {}
    spec = plan.specs[0]
    for ts_ms, row in rows:
        accumulator = tiles.setdefault(floor_to(ts_ms, spec.size_ms), plan.aggregator.zero())
        plan.aggregator.update(accumulator, row, ts_ms)
    return of_tiles(plan, tiles, query["query_ts"])


def _batch_end_ms(vector: Vector) -> int:
    """Streaming values count from the day whose batch is taken to be missing."""
    batch = vector.data.get("batch") or {}
    return batch.get("no_batch_end_ts", -(1 << 62))
