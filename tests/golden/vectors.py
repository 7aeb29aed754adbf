"""Reading vectors: their types, rows and columns in this project's terms."""

import base64
import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from chronon_beam.aggregator.merged_tiles import MergedTiles
from chronon_beam.aggregator.plan import Plan
from chronon_beam.aggregator.row import Accumulator
from chronon_beam.aggregator.sawtooth import NO_BATCH, Batch, Sawtooth, TileFamily
from chronon_beam.api import data_types as types
from chronon_beam.api.data_types import DataType
from chronon_beam.api.dialect import dialect
from chronon_beam.api.group_by import GroupBy
from chronon_beam.api.thrift_json import parse_group_by

_SCALARS = {
    "STRING": types.STRING,
    "INT": types.INT,
    "BIGINT": types.LONG,
    "SMALLINT": types.SHORT,
    "TINYINT": types.BYTE,
    "DOUBLE": types.DOUBLE,
    "FLOAT": types.FLOAT,
    "BOOLEAN": types.BOOLEAN,
    "BINARY": types.BINARY,
    "DATE": types.DATE,
    "TIMESTAMP": types.TIMESTAMP,
}


def parse_type(name: str, ddl: str) -> DataType:
    """A column's type from the vectors' DDL."""
    ddl = ddl.strip()
    if ddl.upper() in _SCALARS:
        return _SCALARS[ddl.upper()]
    if ddl.upper().startswith("DECIMAL"):
        return types.decimal_of(*map(int, ddl[len("DECIMAL(") : -1].split(",")))
    kind, _, inner = ddl.partition("<")
    inner = inner.removesuffix(">")
    title = name[:1].upper() + name[1:]
    if kind.upper() == "ARRAY":
        return types.list_of(parse_type(f"{title}Element", inner))
    if kind.upper() == "MAP":
        return types.map_of(parse_type(f"{title}Value", inner.split(",", 1)[1]))
    fields = [field.split(":", 1) for field in _split(inner)]
    return types.struct_of(
        f"{title}Struct",
        tuple((field.strip(), parse_type(field.strip(), ddl)) for field, ddl in fields),
    )


def _split(fields: str) -> list[str]:
    """The fields of a struct: the commas that stand in no bracket part them."""
    depth, parts = 0, [""]
    for sign in fields:
        depth += (sign in "<(") - (sign in ">)")
        if sign == "," and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


def value_of(value: Any, data_type: DataType) -> Any:
    """A row's JSON value as the Python value that Spark would hand over."""
    if value is None:
        return None
    if isinstance(data_type, types.DecimalType):
        return Decimal(str(value))
    if data_type == types.BINARY:
        return base64.b64decode(value["b64"] if isinstance(value, dict) else value)
    if data_type in types.FLOATS:
        number = float(value)
        return (
            struct.unpack("<f", struct.pack("<f", number))[0]
            if data_type == types.FLOAT
            else number
        )
    if isinstance(data_type, types.ListType):
        return [value_of(item, data_type.element) for item in value]
    if isinstance(data_type, types.MapType):
        return {key: value_of(item, data_type.value) for key, item in value.items()}
    if isinstance(data_type, types.StructType):
        return {name: value_of(value.get(name), kind) for name, kind in data_type.fields}
    return value


@dataclass(frozen=True)
class Vector:
    """One file."""

    path: Path

    @cached_property
    def data(self) -> dict[str, Any]:
        return json.loads(self.path.read_text())

    @property
    def name(self) -> str:
        return f"{self.path.parent.name}/{self.path.stem}"

    @cached_property
    def group_by(self) -> GroupBy:
        # Zipline's vectors name its repository; airbnb's are the rest.
        found = "zipline" if "zipline" in self.data["chronon"] else "airbnb"
        return parse_group_by(json.dumps(self.data["group_by"]), dialect(found), self.name)

    @cached_property
    def types(self) -> dict[str, DataType]:
        columns = self.data.get("schema") or [c.split(" ", 1) for c in self.data["selected_schema"]]
        return {name: parse_type(name, ddl) for name, ddl in columns}

    @cached_property
    def plan(self) -> Plan:
        return Plan(self.group_by, self.types)

    def inputs(self, row: dict[str, Any]) -> list[Any]:
        """A row's aggregation inputs, in order."""
        return [value_of(row.get(name), kind) for name, kind in self.plan.inputs.items()]

    def key(self, values: list[Any]) -> bytes:
        """The bytes of a key given as values."""
        kinds = self.plan.keys.columns.values()
        return self.plan.keys.encode(
            [value_of(v, kind) for v, kind in zip(values, kinds, strict=True)]
        )

    def key_of(self, row: dict[str, Any]) -> bytes:
        """The bytes of a row's key."""
        return self.key([row.get(name) for name in self.group_by.keys])


def vectors(folder: str) -> Iterator[Vector]:
    """All vectors of GroupBys below a folder; those of fetches have another form, see `fetches`."""
    for path in sorted(Path(folder).rglob("*.json")):
        if not {"fetch", "joins"} & {*path.relative_to(folder).parts}:
            yield Vector(path)


def same(ours: Any, theirs: Any) -> bool:
    """Equal, floats to 1e-9 of their size; NaN equals NaN; maps in any order."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[k], theirs[k]) for k in ours)
    if isinstance(ours, (list, tuple)) and isinstance(theirs, (list, tuple)):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(theirs, str) and isinstance(ours, float):
        theirs = float(theirs)
    if isinstance(ours, Decimal):
        return ours == Decimal(theirs)
    if isinstance(ours, bytes) and isinstance(theirs, (str, dict)):
        theirs = value_of(theirs, types.BINARY)
    if isinstance(ours, float) and isinstance(theirs, (int, float)):
        both_nan = math.isnan(ours) and math.isnan(theirs)
        return both_nan or math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-9)
    return ours == theirs


def of_tiles(
    plan: Plan, tiles: dict[int, Accumulator], query_ms: int, batch: Batch = NO_BATCH
) -> dict[str, object]:
    """The features of tiles by their start; the same if what they merge to is remembered."""
    (spec,) = plan.specs
    encoded = {start_ms: plan.tiles.encode(tiles[start_ms]) for start_ms in sorted(tiles)}
    columns = plan.aggregator.columns

    def fetched(sawtooth: Sawtooth) -> dict[str, object]:
        family = TileFamily([*encoded], [*encoded.values()], plan.tiles.accumulators)
        return sawtooth.of_tiles({spec.size_ms: family}, plan.specs, query_ms, batch)

    features = fetched(Sawtooth(plan.group_by, columns))
    remembering = Sawtooth(plan.group_by, columns, MergedTiles(1 << 20, at_least=2))
    for _ in range(2):
        assert repr(fetched(remembering)) == repr(features)
    return features
