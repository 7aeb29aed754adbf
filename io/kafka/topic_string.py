"""Chronon's topic strings, `kafka://TOPIC/NAME=VALUE/...`, as `kafka:` URIs.

Source: `TopicInfo.parse` of `ai.chronon.online.DataStreamBuilder`, and zipline's
`KafkaFlinkSource`, which starts at committed offsets, else at the latest, or at the time that
`start_offset` gives. Its serdes are named by `FlinkSerDeProvider`.
"""

import re
from urllib.parse import quote

BUSES = ("kafka", "bus")
"""What may stand before `://`; a topic string without `://` is of Kafka, too."""

_RENAMED = {"start_offset": "start", "serde": "format"}
_BROKERS = ("bootstrap", "host", "port")
_ESCAPED = "\0"

_REGISTRY = "schema_registry"
_REGISTRY_PLACE = ("registry_scheme", "registry_host", "registry_port")
_APICURIO = "apicurio_registry"
_OF_JVM = ("custom", "pubsub_schema", "glue_registry")
"""Zipline's other serdes."""


def uri_of(topic: str, bootstrap: str | None) -> str:
    """The `kafka:` URI of a GroupBy's topic.

    Args:
        topic: as in the GroupBy; a `//` in a value stands for one `/`.
        bootstrap: the brokers, for a topic string that does not name them.

    >>> uri_of("bus://orders/serde=avro/start_offset=1700000000000", "broker:9092")
    'kafka://broker:9092/orders?format=avro&start=1700000000000'
    >>> uri_of("kafka://orders/serde=schema_registry/registry_host=registry", "broker:9092")
    'kafka://broker:9092/orders?registry=http://registry&format=registry'

    Raises:
        ValueError: the bus is not Kafka, there are no brokers, or the serde is not known.
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
    given = _with_registry({key: value for key, _, value in pairs if value}, name, topic)
    given = {_RENAMED.get(key, key): value for key, value in given.items()}
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


def _with_registry(given: dict[str, str], name: str, topic: str) -> dict[str, str]:
    """The parameters, with zipline's ones of a schema registry in our words."""
    if given.get("serde") in _OF_JVM:
        raise ValueError(
            f"topic {topic!r}: serde={given['serde']} is not known here: give "
            "--source=kafka://HOST:PORT/TOPIC?format=..., see docs/serdes.md"
        )
    if "registry_host" not in given:
        if given.get("serde") == _APICURIO:
            raise ValueError(f"topic {topic!r}: serde={_APICURIO} needs registry_host=")
        return given
    _refuse_nulls(given, topic)
    url = _registry_url(given)
    given = {key: value for key, value in given.items() if key not in _REGISTRY_PLACE}
    if given.get("serde") == _APICURIO:
        return _of_apicurio(given, url, name)
    return _of_confluent(given, url)


def _refuse_nulls(given: dict[str, str], topic: str) -> None:
    if given.get("proto3_default_as_null", "false") != "false":
        raise ValueError(
            f"topic {topic!r}: proto3_default_as_null is not known here: a field of proto3 that is "
            "not set has its default; write NULLIF(field, 0) in the selects"
        )


def _registry_url(given: dict[str, str]) -> str:
    port = f":{given['registry_port']}" if "registry_port" in given else ""
    return f"{given.get('registry_scheme', 'http')}://{given['registry_host']}{port}"


def _of_confluent(given: dict[str, str], url: str) -> dict[str, str]:
    read = ("serde", "schema_registry_wire_format", "proto3_default_as_null")
    found = {key: value for key, value in given.items() if key not in read}
    found["registry"] = url
    if given.get("schema_registry_wire_format", "true") != "true":
        found["framing"] = "none"
    serde = given.get("serde", _REGISTRY)
    return {**found, "serde": "registry" if serde == _REGISTRY else serde}


def _of_apicurio(given: dict[str, str], url: str, name: str) -> dict[str, str]:
    """An artifact of Apicurio's own API; without a wire format messages stand alone."""
    read = ("group_id", "artifact_id", "wire_format", "proto3_default_as_null")
    found = {key: value for key, value in given.items() if key not in read}
    wire_format = given.get("wire_format", "none").lower()
    framing = wire_format if wire_format in ("apicurio", "confluent") else "none"
    subject = f"{given.get('group_id', 'default')}/{given.get('artifact_id', name)}"
    place = {"registry": f"{url}/apis/registry/v2", "subject": subject, "framing": framing}
    return {**found, **place, "serde": "registry"}


def _brokers(given: dict[str, str]) -> str:
    if "bootstrap" in given:
        return given["bootstrap"]
    host, port = given.get("host", ""), given.get("port", "9092")
    return f"{host}:{port}" if host and ":" not in host else host
