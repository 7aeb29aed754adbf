"""Converts between Arrow's types and the types of Spark's columns."""

import inspect
from typing import Any

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema
from pyspark.sql.types import StructType

from chronon_beam.api.formats.refused import refusal, refused
from chronon_beam.transforms.spark.errors import QueryError, spark_reason

_IN_UTC: dict[str, Any] = (
    {"timezone": "UTC"} if "timezone" in inspect.signature(to_arrow_schema).parameters else {}
)
"""pyspark's older releases have no such argument and always take UTC."""

_DIGITS = 38
"""The most that Spark's decimals have."""

_WIDER = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
    pa.float16(): pa.float32(),
    pa.date64(): pa.date32(),
    pa.string_view(): pa.string(),
    pa.binary_view(): pa.binary(),
}


def readable(data_type: pa.DataType) -> pa.DataType:
    """The nearest type that Spark reads; it holds the same values.

    Fields and elements inside may be null, so that Spark drops no null check because of a schema.

    >>> readable(pa.timestamp("ms", tz="Europe/Oslo"))
    TimestampType(timestamp[us, tz=UTC])
    """
    if pa.types.is_timestamp(data_type):
        return pa.timestamp("us", tz="UTC" if data_type.tz else None)
    if pa.types.is_duration(data_type):
        return pa.duration("us")
    if pa.types.is_dictionary(data_type):
        return readable(data_type.value_type)
    if pa.types.is_fixed_size_binary(data_type):
        return pa.binary()
    if pa.types.is_decimal(data_type) and data_type.precision <= _DIGITS:
        return pa.decimal128(data_type.precision, data_type.scale)
    if pa.types.is_map(data_type):
        return pa.map_(readable(data_type.key_type), readable(data_type.item_type))
    if pa.types.is_struct(data_type):
        return pa.struct([readable_field(each) for each in data_type])
    if _is_list(data_type):
        return pa.list_(readable(data_type.value_type))
    return _WIDER.get(data_type, data_type)


def readable_field(field: pa.Field) -> pa.Field:
    """The field with a type that Spark reads, nullable and without metadata."""
    return pa.field(field.name, readable(field.type))


def spark_field(field: pa.Field) -> pa.Field:
    """As `readable_field`; a `refused` field if Spark does not have the type, such as a union."""
    if refusal(field) is not None:
        return field
    found = readable_field(field)
    try:
        from_arrow_schema(pa.schema([found]), prefer_timestamp_ntz=True)
    except PySparkException as error:
        reason = f"it has type {field.type}, which Spark SQL does not know"
        return refused(field.name, f"{reason} ({spark_reason(error)})")
    if "decimal256" in str(found.type):
        return refused(
            field.name, f"it has type {field.type}: decimals have up to {_DIGITS} digits"
        )
    return found


def to_spark(schema: pa.Schema) -> StructType:
    """The Spark schema of Arrow batches whose columns are made by `spark_field`."""
    return from_arrow_schema(schema, prefer_timestamp_ntz=True)


def to_arrow(schema: StructType) -> pa.Schema:
    """The Arrow schema of a Spark schema; timestamps are micros in UTC.

    Raises:
        QueryError: if a column has a type that Arrow lacks.
    """
    fields = []
    for column in schema.fields:
        try:
            arrow = to_arrow_schema(StructType([column]), **_IN_UTC)
        except PySparkException as error:
            raise QueryError(
                f"column `{column.name}` has Spark type {column.dataType.simpleString()}, which "
                f"Arrow cannot hold ({spark_reason(error)}): cast it to another type"
            ) from None
        fields.append(arrow.field(0).with_metadata(None))
    return pa.schema(fields)


def _is_list(data_type: pa.DataType) -> bool:
    return (
        pa.types.is_list(data_type)
        or pa.types.is_large_list(data_type)
        or pa.types.is_fixed_size_list(data_type)
    )
