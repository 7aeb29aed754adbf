"""Avro of drawn types: the product reads what Spark does, of files and of messages (`from_avro`).

The reader is spark-avro 4.2.0, the newest that is published, in Spark 4.3. Three logical types are
not drawn, because Spark 4.3 refuses the files: time-micros is its type TIME, which is off by
default; timestamp-nanos and local-timestamp-nanos need `spark.sql.timestampNanosTypes.enabled`. The
product reads all three as the number that is in the file.
"""

import io
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
from avro_types import AvroType, types
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from readers import by_a_serde, by_spark, by_the_product

from chronon_beam.api.records import Messages
from chronon_beam.pipeline.runners import maven
from chronon_beam.transforms.serdes.avro import AvroSerDe
from chronon_beam.transforms.spark.cache_directory import cache_directory
from chronon_beam.transforms.spark.session import local_spark


@cache
def spark_that_reads_avro() -> SparkSession:
    """A session of the tests' Spark with a jar that PySpark does not ship."""
    session = local_spark().session.newSession()
    lock = Path(__file__).with_name("spark_avro.lock")
    for jar in maven.fetch(maven.read_lock(lock), cache_directory() / "jars"):
        session.sql(f"ADD JAR '{jar}'")
    return session


class Drawn(NamedTuple):
    """A record's schema, three records, and the columns that a query reads."""

    schema: Any
    rows: list[dict[str, Any]]
    used: list[str]


@st.composite
def records(draw: st.DrawFn) -> Drawn:
    columns: list[AvroType] = draw(st.lists(types, min_size=1, max_size=4))
    fields = [{"name": f"c{at}", "type": each.schema} for at, each in enumerate(columns)]
    row = st.fixed_dictionaries({f"c{at}": each.values for at, each in enumerate(columns)})
    rows = draw(st.lists(row, min_size=3, max_size=3))
    used = sorted(draw(st.sets(st.sampled_from(list(rows[0])), min_size=1)))
    return Drawn({"type": "record", "name": "Top", "fields": fields}, rows, used)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(records())
def test_values_are_those_of_sparks_reader_for_any_columns_that_are_used(drawn: Drawn) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.avro"
        with path.open("wb") as file:
            fastavro.writer(file, fastavro.parse_schema(drawn.schema), drawn.rows)
        frame = spark_that_reads_avro().read.format("avro").load(str(path))
        assert by_the_product(path, drawn.used) == by_spark(frame, drawn.used)


def message(schema: Any, row: dict[str, Any]) -> bytes:
    written = io.BytesIO()
    fastavro.schemaless_writer(written, fastavro.parse_schema(schema), row)
    return written.getvalue()


@settings(max_examples=8, deadline=None, derandomize=True)
@given(records())
def test_messages_have_the_values_of_sparks_from_avro(drawn: Drawn) -> None:
    text = json.dumps(drawn.schema)
    payloads = [message(drawn.schema, row) for row in drawn.rows]
    listed = ", ".join(f"(unhex('{each.hex()}'))" for each in payloads)
    select = f"SELECT from_avro(m, '{text}', map()) r FROM VALUES {listed} AS messages (m)"
    frame = spark_that_reads_avro().sql(select).select("r.*")
    serde = AvroSerDe(text)
    messages = Messages("topic/0", list(range(len(payloads))), payloads)
    found = by_a_serde(serde, serde.schema(), [messages], drawn.used)
    assert found == by_spark(frame, drawn.used)
