"""How Arrow's types map to Chronon's.

Source: `ai.chronon.spark.SparkConversions.toChrononType`.
"""

import pyarrow as pa

from chronon_beam.api.data_types import (
    BINARY,
    BOOLEAN,
    BYTE,
    DATE,
    DOUBLE,
    FLOAT,
    INT,
    LONG,
    SHORT,
    STRING,
    TIMESTAMP,
    DataType,
    DecimalType,
    ListType,
    MapType,
    StructType,
    decimal_of,
    list_of,
    map_of,
    struct_of,
)

_ARROW_SCALARS = {
    pa.bool_(): BOOLEAN,
    pa.int8(): BYTE,
    pa.int16(): SHORT,
    pa.int32(): INT,
    pa.int64(): LONG,
    pa.float32(): FLOAT,
    pa.float64(): DOUBLE,
    pa.string(): STRING,
    pa.large_string(): STRING,
    pa.binary(): BINARY,
    pa.large_binary(): BINARY,
    pa.date32(): DATE,
}


def _capitalized(name: str) -> str:
    return name[:1].upper() + name[1:]


def from_arrow(name: str, arrow: pa.DataType) -> DataType:
    """The Chronon type of a column `name` with type `arrow`.

    Nested structs are named after the path to them, as Chronon names them.
    Types that Chronon cannot write to Avro keep their Arrow name, and are refused where they would
    be written.
    """
    scalar = _ARROW_SCALARS.get(arrow)
    if scalar is not None:
        return scalar
    title = _capitalized(name)
    if pa.types.is_timestamp(arrow):
        return TIMESTAMP
    if pa.types.is_decimal(arrow) and 0 <= arrow.scale <= arrow.precision:
        return decimal_of(arrow.precision, arrow.scale)
    if pa.types.is_list(arrow) or pa.types.is_large_list(arrow):
        return list_of(from_arrow(f"{title}Element", arrow.value_type))
    if pa.types.is_map(arrow):
        key = from_arrow(f"{title}Key", arrow.key_type)
        return map_of(from_arrow(f"{title}Value", arrow.item_type), key)
    if pa.types.is_struct(arrow):
        fields = tuple((field.name, from_arrow(field.name, field.type)) for field in arrow)
        return struct_of(f"{title}Struct", fields)
    return DataType(str(arrow))


def to_arrow(data_type: DataType) -> pa.DataType:
    """The Arrow type of a Chronon type that Avro can hold; the inverse of `from_arrow`."""
    if isinstance(data_type, ListType):
        return pa.list_(to_arrow(data_type.element))
    if isinstance(data_type, MapType):
        return pa.map_(to_arrow(data_type.key), to_arrow(data_type.value))
    if isinstance(data_type, StructType):
        return pa.struct([(name, to_arrow(kind)) for name, kind in data_type.fields])
    if isinstance(data_type, DecimalType):
        return pa.decimal128(data_type.precision, data_type.scale)
    return next(arrow for arrow, known in _ARROW_SCALARS.items() if known == data_type)
