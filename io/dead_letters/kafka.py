"""Dead letters in a Kafka topic: each is the message as it was, with what is wrong in its headers.

Key, value and headers are those of the message, as in Kafka Connect, so that a program that reads
the source's topic can read this one. The fields of the letter are in headers whose names begin with
`__chronon.`: `step`, `error`, `reason`, `source`, `position`, `time`, `event_time_ms`, and `rest`
for what `redrive` needs. Letters of rows and requests have no key.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from chronon_beam.api.plugins import refuse_unknown
from chronon_beam.api.records import Failure, Headers
from chronon_beam.io.dead_letters.json_line import moment, ms_of, rest_of, with_rest
from chronon_beam.io.dead_letters.letter import MOST_BYTES, Letter
from chronon_beam.io.dead_letters.sinks import DeadLetters, most_bytes_of
from chronon_beam.io.kafka.attributes import headers_of
from chronon_beam.io.kafka.client import admin_settings, consumer_settings, open_client
from chronon_beam.io.kafka.cluster import Cluster
from chronon_beam.io.kafka.options import KafkaOptions, parse_options
from chronon_beam.io.uri import parse_uri

_OURS = "__chronon."
_WITHIN_S = 60.0
"""How long brokers may take to acknowledge a batch, and to give one when letters are read."""

_WRITING = {
    "acks": "all",
    "enable.idempotence": True,
    "delivery.timeout.ms": int(_WITHIN_S * 1000),
    "compression.type": "lz4",
    "linger.ms": 5,
    # The broker has a limit too, and refuses only the one letter that is too large.
    "message.max.bytes": 64 << 20,
}


class KafkaDeadLetters(DeadLetters):
    """Writes letters to a topic, and waits for all acknowledgements at the end of each bundle.

    A letter that brokers do not take within a minute fails the bundle: a bounded job ends, and the
    runner of a live one does it again.
    """

    def __init__(self, options: KafkaOptions, most_bytes: int = MOST_BYTES) -> None:
        super().__init__()
        self._options, self.most_bytes = options, most_bytes

    @classmethod
    def from_uri(cls, uri: str) -> "KafkaDeadLetters":
        """For `kafka://HOST:PORT/TOPIC[?properties=FILE&max_bytes=N]`; raises ValueError."""
        parameters = parse_uri(uri).parameters
        refuse_unknown(parameters, ("properties", "max_bytes"), "kafka: dead letters")
        options = parse_options(uri)
        if len(options.topics) != 1 or options.topics[0].startswith("^"):
            raise ValueError(f"{uri!r}: dead letters need one topic, and no pattern")
        return cls(options, most_bytes_of(parameters))

    def reach(self) -> None:
        """Raises ConnectionError within ten seconds, or ValueError for a missing topic."""
        Cluster(self._options).check()

    def opener(self) -> Callable[[], "KafkaWriter"]:
        """See `DeadLetters.opener`; secrets are read where the producer is made."""
        return partial(KafkaWriter, self._options)

    def read(self) -> Iterator[Letter]:
        """Up to where the partitions end now, one partition after the other."""
        self.reach()
        settings = consumer_settings(self._options, "chronon-redrive")
        consumer = open_client(Consumer, settings)
        try:
            for place in Cluster(self._options).partitions():
                yield from _read(consumer, TopicPartition(*place.place))
        finally:
            consumer.close()


class KafkaWriter:
    """One producer, of a step in a worker thread."""

    def __init__(self, options: KafkaOptions) -> None:
        self._topic = options.topics[0]
        self._producer = open_client(Producer, {**admin_settings(options), **_WRITING})

    def write(self, letters: Sequence[Letter]) -> None:
        """Write all, and wait; raises ConnectionError with the reason of one that was not taken."""
        lost: list[str] = []

        def note_delivery(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                lost.append(error.str())

        for letter in letters:
            self._produce(letter, note_delivery)
        waiting = self._producer.flush(_WITHIN_S)
        if lost or waiting:
            self._producer.purge()
            raise ConnectionError(
                f"{len(lost) + waiting} of {len(letters)} dead letters could not be written to the "
                f"topic {self._topic}: {lost[0] if lost else 'no broker answers'}"
            )

    def _produce(
        self, letter: Letter, note_delivery: Callable[[KafkaError | None, Message], None]
    ) -> None:
        failure = letter.failure
        headers: list[tuple[str, str | bytes | None]] = [*failure.headers, *_headers(letter)]
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    failure.payload,
                    failure.key,
                    headers=headers,
                    callback=note_delivery,
                )
                return
            except BufferError:  # the client's queue is full: wait for some to be acknowledged
                self._producer.poll(0.1)
            except KafkaException as error:
                raise ConnectionError(f"a dead letter for {self._topic}: {error}") from None

    def close(self) -> None:
        """Nothing is waiting: each batch was acknowledged."""
        self._producer.flush(0)


def _headers(letter: Letter) -> Headers:
    failure = letter.failure
    texts = {
        "step": failure.step,
        "error": letter.error,
        "reason": failure.reason,
        "source": failure.source,
        "position": str(failure.position),
        "time": moment(letter.failed_ms),
        "rest": json.dumps(rest_of(letter)),
    }
    if failure.event_time_ms is not None:
        texts["event_time_ms"] = str(failure.event_time_ms)
    return [
        (f"{_OURS}{name}", text.encode("utf-8", "backslashreplace")) for name, text in texts.items()
    ]


class _Texts(NamedTuple):
    ours: dict[str, str]
    theirs: Headers


def _split(headers: Headers) -> _Texts:
    """The headers that the letter added, and those of the message."""
    ours = {
        name.removeprefix(_OURS): (value or b"").decode(errors="replace")
        for name, value in headers
        if name.startswith(_OURS)
    }
    return _Texts(ours, tuple(each for each in headers if not each[0].startswith(_OURS)))


def _letter(record: Message) -> Letter | None:
    """The letter of a record; None for what another program has written."""
    found, headers = _split(headers_of(record))
    if "step" not in found or "rest" not in found:
        return None
    event_time = found.get("event_time_ms")
    failure = Failure(
        found["step"],
        found["reason"],
        record.value() or b"",
        found["source"],
        int(found["position"]),
        key=record.key(),
        headers=headers,
        event_time_ms=None if event_time is None else int(event_time),
    )
    return with_rest(failure, found["error"], ms_of(found["time"]), json.loads(found["rest"]))


def _read(consumer: Consumer, place: TopicPartition) -> Iterator[Letter]:
    """The letters of a partition, up to where it ends now."""
    first, end = consumer.get_watermark_offsets(place, timeout=_WITHIN_S)
    consumer.assign([TopicPartition(place.topic, place.partition, first)])
    deadline = time.monotonic() + _WITHIN_S
    while first < end:
        for record in consumer.consume(1000, 0.5):
            deadline = time.monotonic() + _WITHIN_S
            error = record.error()
            if error is None:
                first = (record.offset() or 0) + 1
                if (letter := _letter(record)) is not None:
                    yield letter
            elif error.code() == KafkaError._PARTITION_EOF:
                first = max(first, record.offset() or 0)
            elif not error.retriable():
                raise ConnectionError(f"{place.topic} cannot be read: {error.str()}")
        if time.monotonic() > deadline:
            raise ConnectionError(f"{place.topic} cannot be read: no broker answers")
