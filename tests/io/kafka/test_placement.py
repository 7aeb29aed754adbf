"""Readers keep their shares of the partitions, and get subtasks of their own."""

import pytest

from chronon_beam.io.kafka.placement import DEFAULT_MAX_PARALLELISM, _key_group, spread
from chronon_beam.io.kafka.progress import Place


def subtasks(number: int, parallelism: int) -> list[int]:
    """Where Flink puts the readers at some parallelism."""
    groups = [_key_group(reader, DEFAULT_MAX_PARALLELISM) for reader in spread(number)]
    return [group * parallelism // DEFAULT_MAX_PARALLELISM for group in groups]


@pytest.mark.parametrize("number", [1, 2, 3, 16, 128])
def test_each_reader_has_a_subtask_and_each_partition_a_reader(number: int) -> None:
    assert subtasks(number, number) == list(range(number))
    readers = spread(number)
    for partition in range(2 * number):
        owners = [reader.owns(Place("orders", partition)) for reader in readers]
        assert owners.count(True) == 1


def test_more_readers_than_subtasks_are_shared_out_evenly() -> None:
    assert subtasks(8, 2) == [0] * 4 + [1] * 4


def test_more_readers_than_key_groups_are_numbered_as_they_come() -> None:
    assert [reader.index for reader in spread(3, 2)] == [0, 1, 2]
