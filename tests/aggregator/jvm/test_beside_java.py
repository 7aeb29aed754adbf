"""The real Java library beside ours: Spark brings DataSketches for Java along."""

import random
from decimal import Decimal
from typing import Any

import pytest
from datasketches import cpc_sketch, kll_floats_sketch

from chronon_beam.aggregator.avro import encode_long, encoder
from chronon_beam.aggregator.jvm.cpc_bytes import hashed_as
from chronon_beam.aggregator.jvm.decimals import EXACT, decimal_hash
from chronon_beam.aggregator.jvm.hashing import STRING_PLACES, HashOrdered, double_text
from chronon_beam.aggregator.jvm.items_sketch import LONGS, STRINGS, ItemKind, ItemsSketch
from chronon_beam.api.data_types import decimal_of
from chronon_beam.transforms.spark.session import local_spark


@pytest.fixture(scope="module")
def jvm() -> Any:
    return local_spark().gateway.jvm


@pytest.mark.parametrize("count", [0, 1, 30, 150, 1500])
def test_distinct_sketches_are_javas_bytes(jvm: Any, count: int) -> None:
    draw = random.Random(count)
    kinds = {
        "long": (lambda: draw.randrange(-(1 << 63), 1 << 63), lambda v: v & ((1 << 64) - 1)),
        "text": (lambda: f"é{draw.random()}", lambda v: v),
        "bytes": (lambda: draw.randbytes(draw.randrange(1, 40)), lambda v: hashed_as(v, 8)),
    }
    for make, hashable in kinds.values():
        ours, theirs = cpc_sketch(8), jvm.org.apache.datasketches.cpc.CpcSketch(8)
        for _ in range(count):
            value = make()
            ours.update(hashable(value))
            theirs.update(value)
        assert ours.serialize() == bytes(theirs.toByteArray())


@pytest.mark.parametrize("count", [1, 100, 2000])
def test_percentile_sketches_are_read_by_java_and_back(jvm: Any, count: int) -> None:
    java, memory = jvm.org.apache.datasketches.kll, jvm.org.apache.datasketches.memory.Memory
    ours, ranks = kll_floats_sketch(128), [0.1, 0.5, 0.9]
    for step in range(count):
        ours.update(float(step * 37 % 1009))
    theirs = java.KllFloatsSketch.heapify(memory.wrap(ours.serialize()))
    values = [theirs.getQuantile(rank) for rank in ranks]
    assert theirs.getN() == count
    assert values == ours.get_quantiles(ranks, True)
    back = kll_floats_sketch.deserialize(bytes(theirs.toByteArray()))
    assert values == back.get_quantiles(ranks, True)


@pytest.mark.parametrize("lg_max", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("kind", [STRINGS, LONGS], ids=["strings", "longs"])
def test_sketches_of_frequent_items_are_javas_through_purges_and_merges(
    jvm: Any, kind: ItemKind, lg_max: int
) -> None:
    draw = random.Random(lg_max)
    common = jvm.org.apache.datasketches.common
    serde = common.ArrayOfStringsSerDe() if kind is STRINGS else common.ArrayOfLongsSerDe()

    def pair(most: int) -> tuple[ItemsSketch, Any]:
        ours = ItemsSketch(kind, lg_max)
        theirs = jvm.org.apache.datasketches.frequencies.ItemsSketch(1 << lg_max)
        for _ in range(draw.choice([0, 5, 30, 60])):
            # Beyond ints, so that the gateway makes longs of them.
            number = (int(draw.paretovariate(0.8)) % most - 5) << 40 | 1 << 39
            item = f"item {number}" if kind is STRINGS else number
            ours.update(item)
            theirs.update(item)
        return ours, theirs

    for _ in range(12):
        (ours, theirs), (other, their_other) = pair(50), pair(20)
        assert ours.serialize() == bytes(theirs.toByteArray(serde))
        ours.merge(other)
        theirs.merge(their_other)
        assert ours.serialize() == bytes(theirs.toByteArray(serde))


def test_maps_come_in_the_order_of_javas(jvm: Any) -> None:
    draw = random.Random(1)
    for size in (2, 6, 12, 13, 50):
        keys = list({f"{draw.choice('aé😀')}{draw.randrange(1000)}" for _ in range(size)})
        theirs, ours = jvm.java.util.HashMap(), HashOrdered()
        for key in keys:
            theirs.put(key, 1)
            ours[key] = 1
        assert list(jvm.java.util.ArrayList(theirs.keySet())) == list(ours.in_order(STRING_PLACES))
        copied = jvm.java.util.HashMap(len(keys))
        for key in jvm.java.util.ArrayList(theirs.keySet()):
            copied.put(key, 1)
        ours = HashOrdered(dict.fromkeys(keys))
        assert list(jvm.java.util.ArrayList(copied.keySet())) == list(
            ours.in_written_order(STRING_PLACES)
        )


@pytest.mark.parametrize("number", [0.0, -0.0, 1.5, 1e7, 9999999.0, 1e-3, 1e-4, 123456789.0, 1e22])
def test_text_of_doubles_is_javas(jvm: Any, number: float) -> None:
    assert jvm.java.lang.Double.toString(number) == double_text(number)


@pytest.mark.parametrize("digits", [1, 4, 9, 10, 18, 19, 20, 38])
def test_decimals_have_javas_bytes_and_hash_codes(jvm: Any, digits: int) -> None:
    draw, most = random.Random(digits), 10**digits - 1
    encode, hash_code = encoder(decimal_of(38, 2)), decimal_hash(2)
    edges = [0, 127, 128, -128, -129, (1 << 63) - 1, -(1 << 63), 1 << 63]
    for number in [*edges, *(draw.randint(-most, most) for _ in range(50))]:
        value = EXACT.scaleb(Decimal(number), -2)
        payload = bytes(jvm.java.math.BigInteger(str(number)).toByteArray())
        assert encode(value) == encode_long(len(payload)) + payload
        # The gateway hands a Decimal over as a BigDecimal of the same scale.
        assert hash_code(value) == jvm.java.util.Objects.hashCode(value) & 0xFFFFFFFF
