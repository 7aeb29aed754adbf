"""Settings of librdkafka: from the URI, a properties file and the environment; secrets stay here.

What is read from the file or the environment is never part of a pipeline: it is read by the process
that opens a connection, when it opens it.
"""

import logging
import re
from collections.abc import Callable
from typing import Any, TypeVar

from confluent_kafka import KafkaException

from chronon_beam.api.properties import environment_settings, read_properties, without_secrets
from chronon_beam.io.kafka.options import KafkaOptions

T = TypeVar("T")

_OURS = (
    "bootstrap.servers",
    "group.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "enable.partition.eof",
    "isolation.level",
)
"""Settings that exactness depends on, or that the URI says."""

_VARIABLES = re.compile(r"KAFKA_((?:SASL|SSL)_\w+|SECURITY_PROTOCOL)")
_JAAS = re.compile(r"""\b(username|password)\s*=\s*["']([^"']*)["']""")

_librdkafka = logging.getLogger("chronon_beam.librdkafka")

_DEFAULTS: dict[str, Any] = {
    "client.id": "chronon-beam",
    "log_level": 2,  # what goes wrong is said by us, once; librdkafka repeats itself
    "reconnect.backoff.max.ms": 2000,
    "logger": _librdkafka,
}

_READING: dict[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "isolation.level": "read_committed",
    # What is fetched ahead of the job; one message may be larger.
    "queued.max.messages.kbytes": 32_768,
    "fetch.error.backoff.ms": 200,
}


def admin_settings(options: KafkaOptions) -> dict[str, Any]:
    """What an AdminClient is made with.

    Raises:
        ValueError: the properties file is missing or wrong.
    """
    return {**_DEFAULTS, **_users(options), "bootstrap.servers": options.bootstrap}


def consumer_settings(options: KafkaOptions, group: str) -> dict[str, Any]:
    """What a Consumer is made with; raises as `admin_settings`."""
    return {**_READING, **admin_settings(options), "group.id": group}


def opened(make: Callable[[dict[str, Any]], T], settings: dict[str, Any]) -> T:
    """A client made with `settings`.

    Raises:
        ValueError: librdkafka refuses a setting; secrets are not in the message.
    """
    try:
        return make(settings)
    except KafkaException as error:
        reason = str(error.args[0].str() if error.args else error)
        raise ValueError(
            f"the Kafka client refuses a setting: {without_secrets(reason, settings)}; see "
            "?properties= and $KAFKA_SASL_..., $KAFKA_SSL_..., which take librdkafka's names"
        ) from None


def _users(options: KafkaOptions) -> dict[str, str]:
    """Settings in the environment, and over them those of the file."""
    found = environment_settings(_VARIABLES)
    if options.properties is not None:
        found |= read_properties(options.properties, "?properties", _OURS)
    if jaas := found.pop("sasl.jaas.config", None):
        found |= {f"sasl.{name}": value for name, value in _JAAS.findall(jaas)}
    return found
