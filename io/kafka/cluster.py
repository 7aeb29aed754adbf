"""Asks the brokers which partitions topics have, and which offsets `earliest` or a time means."""

import difflib
import re
import time
from collections.abc import Iterable
from concurrent.futures import Future
from typing import Any, NamedTuple

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from chronon_beam.io.kafka.client import admin_settings, open_client
from chronon_beam.io.kafka.options import Border, KafkaOptions
from chronon_beam.io.kafka.progress import FOR_EVER, Place, Progress, Vector

WITHIN_S = 10.0
"""How long a broker may take to answer when a job starts."""

_UNKNOWN = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)
_MOVING = (
    *_UNKNOWN,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
)
"""Errors of a partition that gets another leader, or whose topic has just been made."""

_PAUSE_S = 0.2
_HOPELESS = (
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError._SSL,
)


class Unreachable(ConnectionError):
    """No broker answers; the message says which, and why."""


class FoundPartition(NamedTuple):
    """A partition that exists, and the id of its topic."""

    place: Place
    topic_id: str


class OffsetRange(NamedTuple):
    """The offsets that a partition has: from `first` up to, not including, `end`."""

    first: int
    end: int


class Cluster:
    """Questions to the brokers of a source, by one AdminClient.

    Args:
        options: what the URI says.
        within_s: how long a broker may take to answer.
    """

    def __init__(self, options: KafkaOptions, within_s: float = WITHIN_S) -> None:
        self._options = options
        self._within_s = within_s
        self._errors: list[KafkaError] = []
        settings = {**admin_settings(options), "error_cb": self._errors.append}
        self._admin = open_client(AdminClient, settings)

    def check(self) -> None:
        """Find out whether brokers answer and all topics exist.

        Raises:
            Unreachable: no broker answers in time, or the brokers refuse the login.
            ValueError: a topic does not exist; the message has the nearest names.
        """
        known = self._all_topics()
        for name in self._options.topics:
            if name.startswith("^"):
                if not any(re.match(name, each) for each in known):
                    raise ValueError(f"no topic matches {name!r}: {_nearest(name[1:], known)}")
            elif name not in known:
                raise ValueError(f"topic {name!r} does not exist: {_nearest(name, known)}")

    def partitions(self) -> list[FoundPartition]:
        """All partitions of the topics that exist now.

        Raises:
            Unreachable: no broker answers in time.
        """
        names = [name for name in self._options.topics if not name.startswith("^")]
        patterns = [name for name in self._options.topics if name.startswith("^")]
        if patterns:
            known = self._all_topics()
            names += [each for each in known if any(re.match(one, each) for one in patterns)]
        futures = self._admin.describe_topics(
            TopicCollection(list(dict.fromkeys(names))), request_timeout=self._within_s
        )
        found = []
        for name, future in futures.items():
            description = self._describe(future)
            if description is not None:
                topic_id = str(description.topic_id)
                found += [
                    FoundPartition(Place(name, each.id), topic_id)
                    for each in description.partitions
                ]
        return found

    def spans(self, places: Iterable[Place]) -> dict[Place, OffsetRange]:
        """The offsets of each partition, up to the first transaction that is still open."""
        listed = list(places)
        first = self._list_offsets(listed, OffsetSpec.earliest())
        end = self._list_offsets(listed, OffsetSpec.latest())
        return {place: OffsetRange(first[place], end[place]) for place in listed}

    def first_vector(self, found: Iterable[FoundPartition], group: str) -> Vector:
        """The progress of partitions that have not been read yet: where they begin and end."""
        options, listed = self._options, list(found)
        spans = self.spans(each.place for each in listed)
        starts = self._border(options.start, spans, group)
        stops = self._border(options.stop, spans, group)
        return Vector(
            not options.bounded,
            tuple(
                Progress(each.place, each.topic_id, starts[each.place], stops[each.place])
                for each in listed
            ),
        )

    def _border(
        self, border: Border, spans: dict[Place, OffsetRange], group: str
    ) -> dict[Place, int]:
        match border.kind:
            case "never":
                return dict.fromkeys(spans, FOR_EVER)
            case "earliest":
                return {place: span.first for place, span in spans.items()}
            case "latest" | "end":
                return {place: span.end for place, span in spans.items()}
            case "committed":
                committed = self._committed_offsets(spans, group)
                return {place: committed.get(place, span.end) for place, span in spans.items()}
            case "time":
                at = self._list_offsets(spans, OffsetSpec.for_timestamp(border.time_ms))
                # -1 means that no record is that young.
                return {p: at[p] if at[p] >= 0 else span.end for p, span in spans.items()}
            case _:
                return {
                    place: border.offsets.get(place, span.first) for place, span in spans.items()
                }

    def _committed_offsets(self, places: Iterable[Place], group: str) -> dict[Place, int]:
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(*place) for place in places])
        if not asked.topic_partitions:
            return {}
        futures = self._admin.list_consumer_group_offsets([asked], request_timeout=self._within_s)
        answer = self._result(futures[group])
        return {
            Place(each.topic, each.partition): each.offset
            for each in answer.topic_partitions
            if each.offset >= 0
        }

    def _list_offsets(self, places: Iterable[Place], spec: Any) -> dict[Place, int]:
        asked = {TopicPartition(*place): spec for place in places}
        if not asked:
            return {}
        deadline = time.monotonic() + self._within_s
        while True:
            futures = self._admin.list_offsets(
                asked, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=self._within_s
            )
            try:
                return {Place(*_names(at)): each.result().offset for at, each in futures.items()}
            except KafkaException as error:
                if error.args[0].code() not in _MOVING or time.monotonic() > deadline:
                    raise self._unreachable(error) from None
            time.sleep(_PAUSE_S)

    def _describe(self, future: "Future[Any]") -> Any:
        """The description of a topic; None if no topic has that name."""
        try:
            return future.result()
        except KafkaException as error:
            if error.args[0].code() in _UNKNOWN:
                return None
            raise self._unreachable(error) from None

    def _result(self, future: "Future[Any]") -> Any:
        try:
            return future.result()
        except KafkaException as error:
            raise self._unreachable(error) from None

    def _all_topics(self) -> list[str]:
        """The names of all topics; asks again and again until time is up."""
        deadline = time.monotonic() + self._within_s
        while True:
            try:
                return sorted(self._admin.list_topics(timeout=1).topics)
            except KafkaException as error:
                self._admin.poll(0)  # hands errors of connections to `error_cb`
                hopeless = any(each.code() in _HOPELESS for each in self._errors)
                if hopeless or time.monotonic() > deadline:
                    raise self._unreachable(error) from None

    def _unreachable(self, error: KafkaException) -> Unreachable:
        reasons = [each.str() for each in self._errors if each.code() in _HOPELESS]
        reasons += [each.str() for each in self._errors[-1:]] + [error.args[0].str()]
        return Unreachable(
            f"no Kafka broker answers at {self._options.bootstrap}: {reasons[0]}. Check the "
            "address, that the broker runs, and ?properties= for TLS and SASL"
        )


def _names(at: TopicPartition) -> tuple[str, int]:
    return at.topic, at.partition


def _nearest(name: str, known: Iterable[str]) -> str:
    topics = [each for each in known if not each.startswith("__")]
    near = difflib.get_close_matches(name, topics, n=5, cutoff=0.0)
    return f"the nearest are {', '.join(near)}" if near else "there is no topic at all"
