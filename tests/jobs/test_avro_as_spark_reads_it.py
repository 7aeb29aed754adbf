"""Avro files of drawn types: what the product reads of them is what Spark's own reader reads.

Not among the types are time-micros and timestamp-nanos, which this version of that reader cannot
read.
"""

import tempfile
from functools import cache
from pathlib import Path

import fastavro
from avro_types import AvroType, types
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from readers import by_spark, by_the_product

from chronon_beam.pipeline.runners import maven
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


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.lists(types, min_size=1, max_size=4), st.data())
def test_values_are_those_of_sparks_reader_for_any_columns_that_are_used(
    columns: list[AvroType], data: st.DataObject
) -> None:
    fields = [{"name": f"c{at}", "type": each.schema} for at, each in enumerate(columns)]
    row = st.fixed_dictionaries({f"c{at}": each.values for at, each in enumerate(columns)})
    rows = data.draw(st.lists(row, min_size=3, max_size=3))
    used = sorted(data.draw(st.sets(st.sampled_from(list(rows[0])), min_size=1)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.avro"
        with path.open("wb") as file:
            schema = fastavro.parse_schema({"type": "record", "name": "Top", "fields": fields})
            fastavro.writer(file, schema, rows)
        frame = spark_that_reads_avro().read.format("avro").load(str(path))
        assert by_the_product(path, used) == by_spark(frame, used)
