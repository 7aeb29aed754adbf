"""Columns of a file, as the product reads them and as Spark's own reader does."""

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
from pyspark.sql import DataFrame

from chronon_beam.api.records import Messages
from chronon_beam.api.serde import SerDe
from chronon_beam.io.files.avro import avro_schema, read_avro
from chronon_beam.io.files.parquet import parquet_schema, read_parquet
from chronon_beam.io.files.parts import Part
from chronon_beam.transforms.serdes.arrow import ArrowSerDe
from chronon_beam.transforms.spark.compiled_query import compile_query
from chronon_beam.transforms.spark.query import SqlQuery

READERS = {".parquet": (parquet_schema, read_parquet), ".avro": (avro_schema, read_avro)}


def texts_of(used: list[str]) -> dict[str, str]:
    """Each column as text, so that types and values count and Python's forms do not."""
    return {name: f"concat(typeof({name}), to_json(struct({name})))" for name in used}


def by_spark(frame: DataFrame, used: list[str]) -> list[dict]:
    wanted = [f"{text} AS {name}" for name, text in texts_of(used).items()]
    return [row.asDict() for row in frame.selectExpr(*wanted).collect()]


def by_the_product(path: Path, used: list[str]) -> list[dict]:
    schema_of, read = READERS[path.suffix]
    with path.open("rb") as file:
        schema = schema_of(file)
    with path.open("rb") as file:
        return by_a_serde(ArrowSerDe(), schema, read(file, Part(str(path)), 2, used), used)


def by_a_serde(
    serde: SerDe, schema: pa.Schema, batches: Iterable[Messages], used: list[str]
) -> list[dict]:
    query = SqlQuery(tuple(texts_of(used).items()), (), (), schema, tuple(used))
    compiled = compile_query(query)
    assert compiled.inputs.names == used
    decoder = serde.decoder(compiled.inputs)
    rows: list[dict] = []
    for messages in batches:
        assert messages.error is None
        decoded = decoder.decode(messages)
        assert decoded.reasons == {}
        evaluated = compiled.evaluate(decoded.batch)
        assert evaluated.failures == []
        rows += evaluated.rows.to_pylist()
    return rows
