"""The restriction: its bytes are fixed, and a split loses nothing and gives nothing twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.api.records import MIN_MS
from chronon_beam.io.kafka.progress import (
    FOR_EVER,
    Place,
    Progress,
    Vector,
    VectorCoder,
    VectorTracker,
)

PLACES = st.builds(Place, st.text(min_size=1, max_size=5), st.integers(0, 2**31 - 1))
TIMES = st.integers(MIN_MS, 2**62)


def vectors(others: int) -> st.SearchStrategy[Vector]:
    """Of a reading that a GroupBy shares with so many others."""
    times = st.lists(TIMES, min_size=others, max_size=others).map(tuple)
    counts = (st.integers(0, 2**62), st.integers(0, FOR_EVER), TIMES)
    progress = st.builds(Progress, PLACES, st.text(max_size=5), *counts, times)
    listed = st.lists(progress, max_size=8, unique_by=lambda each: each.place)
    return st.builds(Vector, st.booleans(), listed.map(tuple))


VECTORS = st.integers(0, 3).flatmap(vectors)
ORDERS = Place("orders", 3)


@given(VECTORS)
def test_a_vector_survives_its_bytes(vector: Vector) -> None:
    assert VectorCoder().decode(VectorCoder().encode(vector)) == vector


def test_the_bytes_are_those_of_checkpoints_that_exist() -> None:
    vector = Vector(True, (Progress(ORDERS, "Zt0", 300, FOR_EVER, 1_700_000_000_000),))
    encoded = VectorCoder().encode(vector)
    assert encoded.hex() == "0202020c6f7264657273065a74300006d8048080808080808080800180a0abfef962"
    assert VectorCoder().decode(encoded) == vector


def test_a_partition_read_for_other_group_bys_is_refused() -> None:
    assert Progress(ORDERS, "id", 0).times_ms(2) == (MIN_MS, MIN_MS)
    assert Progress(ORDERS, "id", 3, newest_ms=5, others_ms=(7,)).times_ms(2) == (5, 7)
    for read in (Progress(ORDERS, "id", 3, newest_ms=5), Progress(ORDERS, "id", 3, others_ms=(7,))):
        with pytest.raises(ValueError, match=r"orders/3 was read for . GroupBys, and this job has"):
            read.times_ms(3)


def test_bytes_of_a_later_release_are_refused() -> None:
    with pytest.raises(ValueError, match="version 4, this release reads 2 and 3"):
        VectorCoder().decode(b"\x04\x02\x00")


@given(VECTORS, st.lists(st.tuples(st.integers(0, 7), st.integers(0, 1000)), max_size=10))
def test_a_split_leaves_to_the_residual_all_that_is_not_claimed(
    vector: Vector, claims: list[tuple[int, int]]
) -> None:
    tracker = VectorTracker(vector)
    for index, number in claims:
        if index < len(vector.partitions):
            each = tracker.current_restriction().partitions[index]
            assert tracker.try_claim(each._replace(next_offset=each.next_offset + number))
    before = tracker.current_restriction()
    split = tracker.try_split(0)
    if before.done:
        assert split is None
    else:
        assert split is not None
        primary, residual = split
        assert residual == before
        assert primary.done
        assert not any(map(tracker.try_claim, residual.partitions))
        assert tracker.try_split(0) is None
    tracker.check_done()


@given(VECTORS, st.floats(0.01, 1))
def test_a_vector_is_never_cut_in_two(vector: Vector, fraction: float) -> None:
    assert VectorTracker(vector).try_split(fraction) is None


def test_a_partition_that_is_found_later_is_added() -> None:
    tracker = VectorTracker(Vector(True))
    assert tracker.try_claim(Progress(ORDERS, "id", 0))
    assert tracker.current_restriction() == Vector(True, (Progress(ORDERS, "id", 0),))


def test_what_is_left_is_named() -> None:
    tracker = VectorTracker(Vector(False, (Progress(ORDERS, "id", 0, stop=5),)))
    with pytest.raises(ValueError, match="not read to the end: orders/3"):
        tracker.check_done()
    assert tracker.current_progress().remaining_work == 5
