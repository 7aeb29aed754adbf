"""How far a reader has come: the restriction of the splittable DoFn, its tracker and its coder."""

from typing import NamedTuple

from apache_beam.coders import Coder
from apache_beam.io.iobase import RestrictionProgress, RestrictionTracker

from chronon_beam.api.records import MIN_MS

FOR_EVER = 1 << 62
"""The `stop` of a partition that is read as long as the job runs."""

_VERSION, _SHARED_VERSION = 2, 3
"""Of the bytes: of a reading for one GroupBy, and for several."""


class Place(NamedTuple):
    """One partition of a topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


class Progress(NamedTuple):
    """How far one partition has been read.

    Attributes:
        place: the partition.
        topic_id: the broker's id of the topic; a topic that is made anew has another.
        next_offset: the first offset that has not been read.
        stop: the first offset that is not to be read, or `FOR_EVER`.
        newest_ms: the latest time so far that counts, see `promises`; or `MIN_MS`. Where several
            GroupBys share the reading, it is that of the first.
        others_ms: the latest times for the other GroupBys.
    """

    place: Place
    topic_id: str
    next_offset: int
    stop: int = FOR_EVER
    newest_ms: int = MIN_MS
    others_ms: tuple[int, ...] = ()

    def times_ms(self, number: int) -> tuple[int, ...]:
        """The latest time of each of the `number` GroupBys that share the reading.

        Raises:
            ValueError: the partition was read for another number of GroupBys.
        """
        found = (self.newest_ms, *self.others_ms)
        if len(found) == number:
            return found
        if len(found) > 1 or self.newest_ms > MIN_MS:
            raise ValueError(
                f"{self.place} was read for {len(found)} GroupBys, and this job has {number}: go "
                "on with the same ones, or start without a savepoint"
            )
        return (MIN_MS,) * number

    @property
    def done(self) -> bool:
        """Whether all that is to be read has been read."""
        return self.next_offset >= self.stop


class Vector(NamedTuple):
    """The restriction: how far each partition of a reader has been read.

    Attributes:
        live: whether partitions that are found later belong to the vector, too: it never ends then.
        partitions: one per place.
    """

    live: bool
    partitions: tuple[Progress, ...] = ()

    @property
    def done(self) -> bool:
        """Whether all that is to be read has been read."""
        return not self.live and all(each.done for each in self.partitions)


class VectorTracker(RestrictionTracker):
    """Tracks a vector of partitions; a claim is the new `Progress` of one of them.

    A claim of a partition that is not in the vector adds the partition: that is how partitions join
    while the job runs. A split leaves everything that has not been claimed to the residual.
    """

    def __init__(self, vector: Vector) -> None:
        self._live = vector.live
        self._partitions = {each.place: each for each in vector.partitions}
        self._split = False

    def current_restriction(self) -> Vector:
        """The vector with all claims; after a split, without what is the residual's."""
        return Vector(self._live, tuple(self._partitions.values()))

    def try_claim(self, position: Progress) -> bool:
        """Whether the partition may be read up to there."""
        if self._split:
            return False
        self._partitions[position.place] = position
        return True

    def try_split(self, fraction_of_remainder: float) -> tuple[Vector, Vector] | None:
        """Split all that is not claimed off; no smaller part, since one consumer reads it all."""
        residual = self.current_restriction()
        if fraction_of_remainder or self._split or residual.done:
            return None
        self._live, self._split = False, True
        for place, each in self._partitions.items():
            self._partitions[place] = each._replace(stop=min(each.stop, each.next_offset))
        return self.current_restriction(), residual

    def check_done(self) -> None:
        """Raises ValueError if a record was neither read nor left to a residual."""
        vector = self.current_restriction()
        if not vector.done:
            left = ", ".join(str(each.place) for each in vector.partitions if not each.done)
            raise ValueError(f"not read to the end: {left}")

    def current_progress(self) -> RestrictionProgress:
        """How many records are left; a huge number where reading never ends."""
        left = sum(max(each.stop - each.next_offset, 0) for each in self._partitions.values())
        return RestrictionProgress(completed=0.0, remaining=float(left))

    def is_bounded(self) -> bool:
        """Whether reading ends."""
        return not self._live


class VectorCoder(Coder):
    """A version byte, then topics and partitions as varints: about 20 bytes per partition.

    >>> vector = Vector(True, (Progress(Place("orders", 3), "id", 17),))
    >>> VectorCoder().decode(VectorCoder().encode(vector)) == vector
    True
    """

    def encode(self, value: Vector) -> bytes:
        """The bytes that checkpoints and savepoints hold."""
        others = max((len(each.others_ms) for each in value.partitions), default=0)
        out = bytearray([_SHARED_VERSION if others else _VERSION])
        _put(out, value.live)
        if others:
            _put(out, others)
        topics = dict.fromkeys((each.place.topic, each.topic_id) for each in value.partitions)
        numbers = {topic: number for number, topic in enumerate(topics)}
        _put(out, len(topics))
        for texts in topics:
            for text in texts:
                encoded = text.encode()
                _put(out, len(encoded))
                out += encoded
        for each in value.partitions:
            _put(out, numbers[each.place.topic, each.topic_id])
            times = each.times_ms(1 + others)
            for number in (each.place.partition, each.next_offset, each.stop, *times):
                _put(out, number)
        return bytes(out)

    def decode(self, encoded: bytes) -> Vector:
        """Raises ValueError if the bytes have a version that this release cannot read."""
        if encoded[0] not in (_VERSION, _SHARED_VERSION):
            raise ValueError(
                f"the offsets in this checkpoint have version {encoded[0]}, this release reads "
                f"{_VERSION} and {_SHARED_VERSION}: go on with the release that wrote it"
            )
        reader = _Varints(encoded)
        live = bool(reader.number())
        others = reader.number() if encoded[0] == _SHARED_VERSION else 0
        topics = [(reader.text(), reader.text()) for _ in range(reader.number())]
        found = []
        while not reader.ended:
            topic, topic_id = topics[reader.number()]
            place = Place(topic, reader.number())
            offset, stop, newest_ms = (reader.number() for _ in range(3))
            others_ms = tuple(reader.number() for _ in range(others))
            found.append(Progress(place, topic_id, offset, stop, newest_ms, others_ms))
        return Vector(live, tuple(found))

    def is_deterministic(self) -> bool:
        """The same vector gives the same bytes."""
        return True

    def to_type_hint(self) -> type:
        """What is encoded."""
        return Vector


def _put(out: bytearray, number: int) -> None:
    """Append a signed number, zigzag: small ones of either sign take one byte."""
    zigzag = (number << 1) ^ (number >> 63)
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)


class _Varints:
    def __init__(self, encoded: bytes) -> None:
        self._bytes = encoded
        self._at = 1

    @property
    def ended(self) -> bool:
        return self._at >= len(self._bytes)

    def number(self) -> int:
        value, shift = 0, 0
        while True:
            byte = self._bytes[self._at]
            self._at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte <= 0x7F:
                return (value >> 1) ^ -(value & 1)

    def text(self) -> str:
        length = self.number()
        self._at += length
        return self._bytes[self._at - length : self._at].decode()
