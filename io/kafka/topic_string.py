"""Chronon's topic strings, `kafka://TOPIC/NAME=VALUE/...`, as `kafka:` URIs.

Source: `TopicInfo.parse` of `ai.chronon.online.DataStreamBuilder`, and zipline's
`KafkaFlinkSource`, which starts at committed offsets, else at the latest, or at the time that
`start_offset` gives.
"""

import re
from urllib.parse import quote

BUSES = ("kafka", "bus")
"""What may stand before `://`; a topic string without `://` is of Kafka, too."""

_RENAMED = {"start_offset": "start", "serde": "format"}
_BROKERS = ("bootstrap", "host", "port")
_ESCAPED = "\0"


def uri_of(topic: str, bootstrap: str | None) -> str:
    """The `kafka:` URI of a GroupBy's topic.

    Args:
        topic: as in the GroupBy; a `//` in a value stands for one `/`.
        bootstrap: the brokers, for a topic string that does not name them.

    >>> uri_of("bus://orders/serde=avro/start_offset=1700000000000", "broker:9092")
    'kafka://broker:9092/orders?format=avro&start=1700000000000'

    Raises:
        ValueError: the bus is not Kafka, or there are no brokers.
    """
    found = re.match(r"(\w+)://", topic)
    bus, rest = (found[1], topic[found.end() :]) if found else (BUSES[0], topic)
    if bus not in BUSES:
        raise ValueError(
            f"topic {topic!r} is on the bus {bus!r}: give --source, since only "
            f"{' and '.join(f'{each}://' for each in BUSES)} topics are read without it"
        )
    name, *parts = re.sub("//", _ESCAPED, rest).split("/")
    pairs = [part.replace(_ESCAPED, "/").partition("=") for part in filter(None, parts)]
    given = {_RENAMED.get(key, key): value for key, _, value in pairs if value}
    brokers = _brokers(given) or bootstrap
    if not brokers:
        raise ValueError(
            f"topic {topic!r} does not say where its brokers are: add "
            "--kafka_bootstrap=HOST:PORT, or give --source=kafka://HOST:PORT/TOPIC"
        )
    query = "&".join(
        f"{key}={quote(value, safe=':/,')}" for key, value in given.items() if key not in _BROKERS
    )
    return f"kafka://{brokers}/{name}" + (f"?{query}" if query else "")


def _brokers(given: dict[str, str]) -> str:
    if "bootstrap" in given:
        return given["bootstrap"]
    host, port = given.get("host", ""), given.get("port", "9092")
    return f"{host}:{port}" if host and ":" not in host else host
