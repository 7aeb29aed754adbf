"""What the JVM does, against a table that is built step by step, and known values."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chronon_beam.aggregator.jvm.hashing import (
    STRING_PLACES,
    HashOrdered,
    double_text,
    from_modified_utf8,
    modified_utf8,
    spread,
    string_hash,
)
from chronon_beam.aggregator.jvm.object_stream import Histogram, read_histogram, write_histogram

TEXTS = st.text(max_size=5)


class Table:
    """A hash map of chained buckets that doubles: `java.util.HashMap` without its trees."""

    def __init__(self, length: int = 16) -> None:
        self.buckets: list[list[str]] = [[] for _ in range(length)]

    def add(self, key: str) -> None:
        bucket = self.buckets[spread(string_hash(key)) % len(self.buckets)]
        if key not in bucket:
            bucket.append(key)
        if sum(map(len, self.buckets)) > 0.75 * len(self.buckets):
            larger = Table(2 * len(self.buckets))
            for kept in self:
                larger.buckets[spread(string_hash(kept)) % len(larger.buckets)].append(kept)
            self.buckets = larger.buckets

    def __iter__(self):
        return (key for bucket in self.buckets for key in bucket)


@given(st.lists(TEXTS | st.text("ab", max_size=4), max_size=40), st.lists(st.integers(0, 40)))
def test_order_is_that_of_a_table_of_buckets(keys: list[str], looks: list[int]) -> None:
    ours: HashOrdered[str, int] = HashOrdered()
    table = Table()
    for step, key in enumerate(keys):
        ours.setdefault(key, step)
        table.add(key)
        if step in looks:
            assert list(ours.in_order(STRING_PLACES)) == list(table)
    assert list(ours.in_order(STRING_PLACES)) == list(table)


@given(st.lists(TEXTS, max_size=40, unique=True))
def test_written_maps_are_copied_into_a_table_made_for_them(keys: list[str]) -> None:
    source = Table()
    for key in keys:
        source.add(key)
    copied = Table(1 << max(len(keys) - 1, 0).bit_length())
    for key in source:
        copied.add(key)
    ours = HashOrdered(dict.fromkeys(keys))
    assert list(ours.in_written_order(STRING_PLACES)) == list(copied)


@pytest.mark.parametrize(
    ("text", "code"), [("", 0), ("a", 97), ("hello", 99162322), ("😀", 1772899), ("é", 233)]
)
def test_hash_codes_are_javas(text: str, code: int) -> None:
    assert string_hash(text) == code


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(2.0**-24)
def test_text_of_a_double_reads_as_the_same_double(number: float) -> None:
    assert float(double_text(number)) == number


@given(st.text(st.characters(exclude_categories=["Cs"]) | st.just("\0")))
def test_modified_utf8_comes_back(text: str) -> None:
    assert from_modified_utf8(modified_utf8(text)) == text
    assert b"\0" not in modified_utf8(text)


COUNTS = st.integers(-200, 200) | st.integers(-(1 << 63), (1 << 63) - 1)
HISTOGRAMS = st.one_of(
    st.binary(max_size=20).map(lambda sketch: Histogram(None, sketch=sketch)),
    *(
        st.lists(st.tuples(kind, COUNTS), max_size=8).map(lambda e: Histogram(tuple(e), 32))
        for kind in (st.text(st.characters(exclude_categories=["Cs"])), COUNTS, st.floats())
    ),
)


@given(HISTOGRAMS)
def test_java_objects_come_back(made: Histogram) -> None:
    read = read_histogram(write_histogram(made))
    assert repr(read) == repr(made)


@given(HISTOGRAMS, st.integers(0), st.integers(0, 255))
def test_broken_java_objects_are_refused_or_read_and_never_crash(
    made: Histogram, place: int, byte: int
) -> None:
    written = bytearray(write_histogram(made))
    written[place % len(written)] = byte
    for payload in (bytes(written), bytes(written[: place % len(written)])):
        try:
            read = read_histogram(payload)
        except ValueError:
            continue
        assert isinstance(read, Histogram)
