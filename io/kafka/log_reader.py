"""Reads all partitions of a reader with one Kafka consumer, kept open from bundle to bundle."""

import logging
import time
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from chronon_beam.io.kafka.client import consumer_settings, open_client
from chronon_beam.io.kafka.options import KafkaOptions
from chronon_beam.io.kafka.progress import Place, Progress

_log = logging.getLogger(__name__)

_OUT_OF_RANGE = (
    KafkaError._AUTO_OFFSET_RESET,
    KafkaError.OFFSET_OUT_OF_RANGE,
)
_MISSING = (
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.UNKNOWN_TOPIC_ID,
    KafkaError.INCONSISTENT_TOPIC_ID,
)
_REPEAT_S = 60.0
_PROBE_S = 1.0


class Polled(NamedTuple):
    """What one poll gave.

    Attributes:
        records: the records of each partition, in the order of offsets.
        ends: the end offset of each partition that has been read to its end.
        out_of_range: partitions of which the broker does not have the next offset.
        missing: partitions that the broker does not have.
    """

    records: dict[Place, list[Message]]
    ends: dict[Place, int]
    out_of_range: set[Place]
    missing: set[Place]


class ReadFailed(RuntimeError):
    """The brokers refuse to give records; the message says why."""


class LogReader:
    """A consumer that reads partitions on from given offsets.

    While brokers are down, the reader waits for them. It logs that it waits when the wait begins,
    once a minute, and when the brokers are back.
    """

    def __init__(self, options: KafkaOptions, group: str) -> None:
        self._bootstrap = options.bootstrap
        settings = {**consumer_settings(options, group), "error_cb": self._note}
        self._down_since: float | None = None
        self._said_at = self._probed_at = 0.0
        self._at: dict[Place, int] = {}
        self._at_end: set[Place] = set()
        self._quiet_since: dict[Place, float] = {}
        self._counted: dict[tuple[Place, int], float] = {}
        self._consumer = open_client(Consumer, settings)

    def follow(self, partitions: Iterable[Progress]) -> None:
        """Move the consumer to where `partitions` stand, unless it stands there already."""
        wanted = {each.place: each.next_offset for each in partitions if not each.done}
        if wanted != self._at:
            self._quiet_since = {
                place: since
                for place, since in self._quiet_since.items()
                if self._at.get(place) == wanted.get(place)
            }
            self._at_end &= self._quiet_since.keys()
            self._consumer.assign([TopicPartition(*at, offset) for at, offset in wanted.items()])
            self._at = wanted

    def ask_again(self, places: Iterable[Place]) -> None:
        """Have `follow` assign partitions anew: after an error the client does not read them."""
        for place in places:
            self._at.pop(place, None)

    def poll(self, most: int, wait_s: float, linger_s: float) -> Polled:
        """Up to `most` records: waits `wait_s` for the first, then `linger_s` for more.

        Raises:
            ReadFailed: the brokers refuse to give records.
        """
        first = self._consumer.poll(wait_s)
        if first is None:
            self._probe()
            return Polled({}, {}, set(), set())
        return self._sort([first, *self._consumer.consume(most - 1, linger_s)])

    def more(self, most: int, within_s: float) -> Polled:
        """Up to `most` further records that are there, or come within `within_s`."""
        return self._sort(self._consumer.consume(most, within_s))

    def idle(self, idle_s: float, sharer: int = 0) -> Collection[Place]:
        """Partitions that were read to their end and have been idle for `idle_s`.

        A partition is idle while no record counts, see `note_counted`. While brokers are down, no
        partition is idle. `sharer` is the index of one of the GroupBys that share the reading: a
        record may count for one of them and not for the others.
        """
        if self._down_since is not None:
            return ()
        now = time.monotonic()
        never = float("-inf")
        quiet = {
            place: max(self._quiet_since[place], self._counted.get((place, sharer), never))
            for place in self._at_end
        }
        return {place for place, since in quiet.items() if now - since >= idle_s}

    def behind(self) -> int:
        """How many offsets are not read yet, as of the brokers' last answers."""
        ends = {
            place: self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            for place in self._at
        }
        return sum(max(end[1] - self._at[place], 0) for place, end in ends.items() if end)

    def note_counted(self, place: Place, sharer: int = 0) -> None:
        """Note that a record of the partition counts for a GroupBy: the partition is not idle."""
        self._counted[place, sharer] = time.monotonic()

    def commit(self, partitions: Iterable[Progress]) -> None:
        """Commit offsets to the consumer group, for tools that show its lag; never fails.

        The job does not read these offsets: its own are in the runner's state.
        """
        offsets = [TopicPartition(*each.place, each.next_offset) for each in partitions]
        with suppress(KafkaException, RuntimeError):  # closed in the meantime, or brokers are down
            self._consumer.commit(offsets=offsets, asynchronous=True)

    def close(self) -> None:
        """Close the consumer."""
        self._consumer.close()

    def _sort(self, polled: list[Message]) -> Polled:
        found = Polled({}, {}, set(), set())
        records: list[Message] = []
        place: Place | None = None
        for message in polled:
            topic, partition = message.topic() or "", message.partition() or 0
            if (error := message.error()) is not None:
                self._sort_error(error, Place(topic, partition), message, found)
            elif place is not None and partition == place.partition and topic == place.topic:
                records.append(message)
            else:  # a partition's records come in few long runs, so this happens rarely
                place = Place(topic, partition)
                records = found.records.setdefault(place, [])
                records.append(message)
        self._advance(found)
        return found

    def _advance(self, found: Polled) -> None:
        for place, messages in found.records.items():
            self._at[place] = (messages[-1].offset() or 0) + 1
            self._at_end.discard(place)
        # Records after an end, in the same poll, move the end.
        for place, end in found.ends.items():
            self._at[place] = max(end, self._at.get(place, 0))
            self._at_end.add(place)
            self._quiet_since.setdefault(place, time.monotonic())
        if found.records or found.ends:
            self._note_answer()

    def _sort_error(self, error: KafkaError, place: Place, message: Message, found: Polled) -> None:
        code = error.code()
        if code == KafkaError._PARTITION_EOF:
            found.ends[place] = message.offset() or 0
        elif code in _OUT_OF_RANGE:
            found.out_of_range.add(place)
        elif code in _MISSING:
            found.missing.add(place)
        elif error.retriable() or code in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
            self._note(error)
        else:
            raise ReadFailed(f"Kafka at {self._bootstrap} refuses to give {place}: {error.str()}")

    def _note(self, error: KafkaError) -> None:
        """Called by the client while it polls."""
        if error.code() == KafkaError._ALL_BROKERS_DOWN and self._down_since is None:
            self._down_since = time.monotonic()

    def _probe(self) -> None:
        """While brokers are down, find out whether they are back, and log that the job waits."""
        now = time.monotonic()
        if self._down_since is None or now - self._probed_at < _PROBE_S:
            return
        self._probed_at = now
        if now - self._said_at >= _REPEAT_S:
            self._said_at = now
            _log.warning(
                "no Kafka broker answers at %s; waiting for one, since %.0f s",
                self._bootstrap,
                now - self._down_since,
            )
        with suppress(KafkaException):
            self._consumer.list_topics(timeout=_PROBE_S)
            self._note_answer()

    def _note_answer(self) -> None:
        if self._down_since is None:
            return
        now = time.monotonic()
        _log.warning("Kafka answers again after %.0f s", now - self._down_since)
        self._down_since, self._said_at = None, 0.0
        # Records may have come while brokers were down, so each partition starts to be idle anew.
        self._quiet_since = dict.fromkeys(self._quiet_since, now)
