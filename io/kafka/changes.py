"""How a reader goes on when brokers have new partitions, topics made anew, or lost records."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from zlib import crc32

from chronon_beam.io.kafka.cluster import FoundPartition, OffsetRange
from chronon_beam.io.kafka.progress import Place, Progress, Vector


class Readers(NamedTuple):
    """One of the readers that share the partitions of a source.

    Attributes:
        index: the reader's number; its remainder by `number` says what it reads, see `placement`.
        number: how many readers there are; fixed for the life of the job's state.
    """

    index: int
    number: int

    def owns(self, place: Place) -> bool:
        """Whether this reader reads the partition: readers take a topic's partitions in turn."""
        turn = crc32(place.topic.encode()) + place.partition
        return (turn - self.index) % self.number == 0


class Change(NamedTuple):
    """A partition whose reading does not go on after the last record that was read.

    Attributes:
        progress: where reading goes on.
        lost: the reason of a dead letter: which records were lost unread; empty for a new
            partition.
    """

    progress: Progress
    lost: str = ""


def new_or_anew(
    vector: Vector, found: Iterable[FoundPartition], reader: Readers
) -> list[FoundPartition]:
    """The reader's partitions that are not in `vector`, or that are there of an earlier topic."""
    known = {each.place: each.topic_id for each in vector.partitions}
    return [
        each for each in found if reader.owns(each.place) and known.get(each.place) != each.topic_id
    ]


def changes_of(
    vector: Vector, found: Iterable[FoundPartition], spans: Mapping[Place, OffsetRange]
) -> list[Change]:
    """How a reader goes on with each partition that is new, or whose topic was made anew.

    Both are read from their first record, whatever `start` says: they came while the job ran.
    """
    known = {each.place: each for each in vector.partitions}
    changes = []
    for place, topic_id in found:
        first, before = spans[place].first, known.get(place)
        if before is None:
            changes.append(Change(Progress(place, topic_id, first)))
        else:
            lost = (
                f"topic {place.topic!r} was deleted and made anew: what the old one held from "
                f"offset {before.next_offset} on was not read; the new one is read from {first}"
            )
            changes.append(Change(Progress(place, topic_id, first), lost))
    return changes


def out_of_range(progress: Progress, span: OffsetRange) -> Change | None:
    """How a partition goes on after the broker has said that it has no such offset.

    None if the offset is in range after all: the broker is asked again.
    """
    place, at = progress.place, progress.next_offset
    if at < span.first:
        lost = (
            f"offsets {at} to {span.first - 1} of {place} were deleted before they were read, as "
            "the topic's retention says: read faster, or keep records longer"
        )
        return Change(progress._replace(next_offset=span.first), lost)
    if at > span.end:
        lost = (
            f"the log of {place} ends at offset {span.end}, before {at}: the brokers have lost "
            "records that were read, and give their offsets to others"
        )
        return Change(progress._replace(next_offset=span.end), lost)
    return None
