"""Numbers for readers with which Flink gives each of them a subtask of its own.

Flink hashes each element of a splittable DoFn into a key group, and each subtask has a range of
these. Readers that are numbered 0, 1, 2, ... may share a subtask: both of two are in the second
one, which then reads all, and the first one nothing. `Readers.owns` only looks at the remainder of
the number, so each reader takes the first number whose key group lies in its own subtask's range.

How Flink hashes was read from Beam's `FlinkKey` (2.70) and Flink's `KeyGroupRangeAssignment`; where
a release hashes otherwise, readers share subtasks as they would have without this.
"""

import mmh3
from apache_beam.coders import TupleCoder, VarIntCoder

from chronon_beam.io.kafka.changes import Readers

DEFAULT_MAX_PARALLELISM = 128
"""Flink's number of key groups for up to 85 subtasks."""

_MIN_INT = -(1 << 31)
_CODER = TupleCoder((VarIntCoder(), VarIntCoder()))
"""The coder that Beam infers for an element."""


def spread(number: int, max_parallelism: int = 0) -> list[Readers]:
    """The readers of a source, one for each subtask of a job of parallelism `number`.

    Args:
        number: how many readers there are.
        max_parallelism: Flink's number of key groups; 0 if it is left to Flink.

    >>> [reader.index for reader in spread(2)]
    [2, 1]
    """
    groups = max_parallelism or DEFAULT_MAX_PARALLELISM
    if number > groups:
        return [Readers(index, number) for index in range(number)]
    return [_in_subtask(subtask, number, groups) for subtask in range(number)]


def _in_subtask(subtask: int, number: int, max_parallelism: int) -> Readers:
    reader = Readers(subtask, number)
    while _key_group(reader, max_parallelism) * number // max_parallelism != subtask:
        reader = reader._replace(index=reader.index + number)
    return reader


def _key_group(reader: Readers, max_parallelism: int) -> int:
    key_hash = mmh3.hash64(_CODER.encode(tuple(reader)))[0] & 0xFFFF_FFFF
    mixed = mmh3.hash(key_hash.to_bytes(4, "little"))
    return 0 if mixed == _MIN_INT else abs(mixed) % max_parallelism
