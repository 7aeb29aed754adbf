"""What a `kafka:` URI says: brokers, topics, and from where to where they are read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from chronon_beam.api.serde import Format
from chronon_beam.io.kafka.progress import Place
from chronon_beam.io.live import readers_of
from chronon_beam.io.uri import duration_ms, parse_uri

KNOWN = ("schema", "format", "start", "stop", "group", "properties", "discover", "readers")
"""The parameters that the source knows; all others are for the serde that `format` names."""

_EXAMPLE = "kafka://broker:9092/orders?start=earliest"
_OFFSET = re.compile(r"(?:(?P<topic>[^/,]+)/)?(?P<partition>\d+):(?P<offset>\d+)")


@dataclass(frozen=True)
class Border:
    """Where reading begins or ends.

    Attributes:
        kind: `earliest`, `latest` or `committed` where reading begins; `never` or `end` where it
            ends; `time` or `offsets` for both.
        time_ms: of the kind `time`: the border is the first record that is not older.
        offsets: of the kind `offsets`: the offset of each partition.
    """

    kind: str
    time_ms: int = 0
    offsets: Mapping[Place, int] = field(default_factory=dict)


NEVER = Border("never")


@dataclass(frozen=True)
class KafkaOptions:
    """All that a `kafka:` URI says.

    Attributes:
        bootstrap: `host:port`, several separated by commas.
        topics: names, and regular expressions that begin with `^`.
        start: where reading begins, in partitions that have not been read yet.
        stop: where reading ends.
        format: which serde the messages need, with its parameters.
        ddl: the columns of the messages, if the user gives them.
        group: the consumer group to which offsets are committed; None names it after the job.
        properties: path of a file with settings of the client, secrets among them.
        discover_ms: how often the job looks for new topics and partitions.
        readers: how many consumers share the partitions; None means the parallelism of the job.
    """

    bootstrap: str
    topics: tuple[str, ...]
    start: Border = Border("committed")
    stop: Border = NEVER
    format: Format = Format("json")
    ddl: str | None = None
    group: str | None = None
    properties: str | None = None
    discover_ms: int = 30_000
    readers: int | None = None

    @property
    def bounded(self) -> bool:
        """Whether reading ends."""
        return self.stop != NEVER


def parse_options(uri: str) -> KafkaOptions:
    """The options in `kafka://HOST:PORT[,HOST:PORT]/TOPIC[,TOPIC][?NAME=VALUE&...]`.

    Raises:
        ValueError: the URI is wrong; the message says how to write it.
    """
    parsed = parse_uri(uri)
    bootstrap, topics = _place(parsed.location, uri)
    given = parsed.parameters
    others = {name: value for name, value in given.items() if name not in KNOWN}
    others |= _subject(others, topics)
    return KafkaOptions(
        bootstrap,
        topics,
        _start(given.get("start", "committed"), topics),
        _stop(given.get("stop", "never"), topics),
        Format(given.get("format", "json"), others),
        given.get("schema"),
        given.get("group"),
        given.get("properties"),
        duration_ms(given.get("discover", "30s")),
        readers_of(given),
    )


def _subject(given: Mapping[str, str], topics: tuple[str, ...]) -> dict[str, str]:
    """The registry's subject of a single topic's values, as Confluent names it by default.

    >>> _subject({"registry": "http://registry:8081"}, ("orders",))
    {'subject': 'orders-value'}
    """
    single = len(topics) == 1 and not topics[0].startswith("^")
    if "registry" not in given or "subject" in given or not single:
        return {}
    return {"subject": f"{topics[0]}-value"}


def _place(location: str, uri: str) -> tuple[str, tuple[str, ...]]:
    """The brokers and the topics of the URI's location."""
    bootstrap, _, listed = location.removeprefix("//").partition("/")
    if "@" in bootstrap:
        raise ValueError(
            "a kafka: URI holds no user and no password, since URIs are logged: put them into a "
            "file and add ?properties=PATH, or into $KAFKA_SASL_USERNAME and $KAFKA_SASL_PASSWORD"
        )
    topics = tuple(filter(None, listed.split(",")))
    if not location.startswith("//") or not _are_brokers(bootstrap) or not topics:
        raise ValueError(
            f"{uri!r} must name brokers with their ports and a topic: write for example {_EXAMPLE}"
        )
    return bootstrap, _checked_patterns(topics)


def _are_brokers(bootstrap: str) -> bool:
    return all(re.fullmatch(r".+:\d{1,5}", broker) for broker in bootstrap.split(","))


def _checked_patterns(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name.startswith("^"):
            try:
                re.compile(name)
            except re.error as error:
                raise ValueError(f"the topic pattern {name!r} is not regular: {error}") from None
    return names


def _start(text: str, topics: tuple[str, ...]) -> Border:
    return _border("start", text, ("committed", "latest", "earliest"), topics)


def _stop(text: str, topics: tuple[str, ...]) -> Border:
    return _border("stop", text, ("never", "end"), topics)


def _border(name: str, text: str, words: tuple[str, ...], topics: tuple[str, ...]) -> Border:
    """The border that `start=` or `stop=` gives.

    >>> _border("start", "0:15", (), ("orders",)).offsets
    {Place(topic='orders', partition=0): 15}
    """
    if text in words:
        return Border(text)
    if _OFFSET.match(text):
        return Border("offsets", offsets=_offsets(name, text, topics))
    return Border("time", time_ms=_time_ms(name, text, words))


def _offsets(name: str, text: str, topics: tuple[str, ...]) -> dict[Place, int]:
    offsets: dict[Place, int] = {}
    for part in text.split(","):
        found = _OFFSET.fullmatch(part)
        topic = found and (found["topic"] or (topics[0] if len(topics) == 1 else None))
        if not found or not topic:
            raise ValueError(
                f"{name}={text}: {part!r} is no offset: write PARTITION:OFFSET,... or, of several "
                "topics, TOPIC/PARTITION:OFFSET,..."
            )
        offsets[Place(topic, int(found["partition"]))] = int(found["offset"])
    return offsets


def _time_ms(name: str, text: str, words: tuple[str, ...]) -> int:
    if text.isdecimal():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{name}={text} is unknown: use {', '.join(words)}, a time (2026-11-27T10:00:00Z, UTC "
            "unless it says otherwise, or milliseconds since the epoch), or offsets (0:15,1:20)"
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
