"""How a reader goes on when partitions come, or what it was to read is gone."""

from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.io.kafka.changes import Change, Readers, changes_of, new_or_anew, out_of_range
from chronon_beam.io.kafka.cluster import FoundPartition, OffsetRange
from chronon_beam.io.kafka.progress import Place, Progress, Vector

P0, P1 = Place("t", 0), Place("t", 1)
ALONE = Readers(0, 1)
READ = Progress(P0, "old", 7, newest_ms=99)


@given(st.integers(1, 9), st.integers(0, 500), st.text(min_size=1, max_size=3))
def test_each_partition_has_one_reader(number: int, partition: int, topic: str) -> None:
    owners = [Readers(i, number).owns(Place(topic, partition)) for i in range(number)]
    assert sum(owners) == 1


@given(st.integers(1, 9))
def test_the_partitions_of_a_topic_go_round(number: int) -> None:
    owned = [sum(Readers(i, number).owns(Place("t", p)) for p in range(18)) for i in range(number)]
    assert max(owned) - min(owned) <= 1


def test_known_partitions_change_nothing() -> None:
    assert new_or_anew(Vector(True, (READ,)), [FoundPartition(P0, "old")], ALONE) == []


def test_a_new_partition_is_read_from_its_first_record() -> None:
    vector, new = Vector(True, (READ,)), FoundPartition(P1, "old")
    assert new_or_anew(vector, [FoundPartition(P0, "old"), new], ALONE) == [new]
    assert changes_of(vector, [new], {P1: OffsetRange(3, 9)}) == [Change(Progress(P1, "old", 3))]


def test_a_topic_made_anew_is_read_from_its_first_record_and_said() -> None:
    vector, anew = Vector(True, (READ,)), FoundPartition(P0, "new")
    assert new_or_anew(vector, [anew], ALONE) == [anew]
    ((progress, lost),) = changes_of(vector, [anew], {P0: OffsetRange(0, 2)})
    assert progress == Progress(P0, "new", 0)
    assert "'t' was deleted and made anew: what the old one held from offset 7 on" in lost


def test_offsets_that_retention_has_deleted_are_named() -> None:
    change = out_of_range(READ, OffsetRange(12, 40))
    assert change is not None
    assert change.progress == READ._replace(next_offset=12)
    assert change.lost.startswith("offsets 7 to 11 of t/0 were deleted before they were read")


def test_a_log_that_has_become_shorter_is_said() -> None:
    change = out_of_range(READ, OffsetRange(0, 5))
    assert change is not None
    assert change.progress == READ._replace(next_offset=5)
    assert change.lost.startswith("the log of t/0 ends at offset 5, before 7")


def test_an_offset_in_range_changes_nothing() -> None:
    assert out_of_range(READ, OffsetRange(0, 7)) is None
