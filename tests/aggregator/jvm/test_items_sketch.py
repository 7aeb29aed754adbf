"""The sketch of frequent items against exact counts, and its bytes."""

import struct
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.aggregator.jvm.items_sketch import DOUBLES, LONGS, STRINGS, ItemKind, ItemsSketch

KINDS: list[tuple[ItemKind, st.SearchStrategy]] = [
    (STRINGS, st.text(st.characters(exclude_categories=["Cs"]), max_size=3)),
    (LONGS, st.integers(-20, 20) | st.integers(-(1 << 63), (1 << 63) - 1)),
    (DOUBLES, st.sampled_from([0.0, -0.0, 0.5, float("nan"), 1e300])),
]
STREAMS = st.sampled_from(KINDS).flatmap(
    lambda kind: st.tuples(
        st.just(kind[0]), st.lists(kind[1].map(kind[0].item), max_size=60), st.integers(1, 5)
    )
)


def sketch_of(kind: ItemKind, items: list, lg_max: int) -> ItemsSketch:
    sketch = ItemsSketch(kind, lg_max)
    for item in items:
        sketch.update(item)
    return sketch


@given(STREAMS)
def test_true_count_is_between_count_and_count_plus_offset(drawn: tuple) -> None:
    kind, items, lg_max = drawn
    sketch = sketch_of(kind, items, lg_max)
    counts, true = dict(sketch.entries()), Counter(items)
    for item, times in true.items():
        assert counts.get(item, 0) <= times <= counts.get(item, 0) + sketch.offset
    assert counts.keys() <= true.keys()
    assert len(sketch) == len(counts) <= 0.75 * (1 << max(lg_max, 3))
    assert sketch.weight == len(items)


@given(STREAMS, st.integers(0, 60))
def test_merge_keeps_the_bounds(drawn: tuple, cut: int) -> None:
    kind, items, lg_max = drawn
    merged = sketch_of(kind, items[:cut], lg_max)
    other = sketch_of(kind, items[cut:], lg_max)
    before = other.serialize()
    merged.merge(other)
    counts = dict(merged.entries())
    for item, times in Counter(items).items():
        # An emptied sketch is merged as if it had seen nothing, in Java as here.
        lost = other.offset if not other else 0
        assert counts.get(item, 0) <= times <= counts.get(item, 0) + merged.offset + lost
    assert other.serialize() == before


@given(STREAMS)
def test_bytes_come_back_as_the_same_table(drawn: tuple) -> None:
    kind, items, lg_max = drawn
    sketch = sketch_of(kind, items, lg_max)
    read = ItemsSketch.deserialize(sketch.serialize(), kind, lg_max)
    assert read.serialize() == sketch.serialize()
    if sketch:
        # They go on alike, also through the next purge.
        for item in items:
            sketch.update(item)
            read.update(item)
        assert read.serialize() == sketch.serialize()


def test_exact_until_the_table_is_full_then_the_frequent_stay() -> None:
    sketch = sketch_of(LONGS, [1] * 5 + [2] * 4 + [3, 4, 5, 6], 3)
    assert sketch.frequent(2, no_false_positives=True) == {"1": 5, "2": 4}
    sketch.update(7)
    assert sketch.offset == 1
    assert sketch.frequent(9, no_false_positives=True) == {"1": 5, "2": 4}


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x04\x01\x0a\x03\x03\x00\x00\x00",
        b"\x04\x02\x0a\x03\x03\x00\x00\x00",
        sketch_of(STRINGS, ["abc"], 3).serialize()[:-1],
        sketch_of(STRINGS, ["abc"], 3).serialize()[:-7] + struct.pack("<i", -1) + b"abc",
    ],
)
def test_other_bytes_are_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"not a sketch|a string of"):
        ItemsSketch.deserialize(payload, STRINGS)
