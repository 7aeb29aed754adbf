"""Parquet files of drawn types: what the product reads of them is what Spark's own reader reads."""

import datetime as dt
import tempfile
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st
from readers import by_spark, by_the_product

from chronon_beam.transforms.spark.session import local_spark

UTC = dt.UTC
NAIVE = (dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30))  # noqa: DTZ001, columns without a zone
LEAVES = {
    pa.int8(): st.integers(-128, 127),
    pa.uint32(): st.integers(0, 2**32 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float32(): st.floats(width=32, allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(st.characters(codec="utf-8"), max_size=4),
    pa.large_string(): st.text(st.characters(codec="utf-8"), max_size=4),
    pa.binary(3): st.binary(min_size=3, max_size=3),
    pa.date32(): st.dates(dt.date(1600, 1, 1)),
    pa.timestamp("ms", tz="UTC"): st.datetimes(*NAIVE).map(
        lambda t: t.replace(tzinfo=UTC, microsecond=t.microsecond // 1000 * 1000)
    ),
    pa.timestamp("us"): st.datetimes(*NAIVE),
    pa.duration("us"): st.timedeltas(dt.timedelta(-9999), dt.timedelta(9999)),
    pa.decimal128(7, 2): st.decimals(-9999, 9999, places=2, allow_nan=False),
    pa.decimal128(38, 0): st.integers(-(10**37), 10**37).map(Decimal),
    pa.dictionary(pa.int32(), pa.string()): st.sampled_from(["a", "b"]),
}


def leaf(kind: pa.DataType) -> tuple[pa.DataType, st.SearchStrategy]:
    return kind, st.none() | LEAVES[kind]


# A drawn type, and the values of a column of it.
types = st.recursive(
    st.sampled_from(list(LEAVES)).map(leaf),
    lambda inner: st.one_of(
        inner.map(lambda t: (pa.list_(t[0]), st.none() | st.lists(t[1], max_size=3))),
        st.lists(inner, min_size=1, max_size=3).map(
            lambda fields: (
                pa.struct([(f"f{at}", kind) for at, (kind, _) in enumerate(fields)]),
                st.none()
                | st.fixed_dictionaries({f"f{at}": each for at, (_, each) in enumerate(fields)}),
            )
        ),
    ),
    max_leaves=4,
)


@settings(max_examples=12, deadline=None)
@given(st.lists(types, min_size=1, max_size=4), st.booleans(), st.data())
def test_values_are_those_of_sparks_reader_for_any_columns_that_are_used(columns, int96, data):
    arrays = {
        f"c{at}": pa.array(data.draw(st.lists(values, min_size=3, max_size=3)), kind)
        for at, (kind, values) in enumerate(columns)
    }
    used = sorted(data.draw(st.sets(st.sampled_from(list(arrays)), min_size=1)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.parquet"
        pq.write_table(pa.table(arrays), path, use_deprecated_int96_timestamps=int96)
        frame = local_spark().session.read.parquet(str(path))
        assert by_the_product(path, used) == by_spark(frame, used)
