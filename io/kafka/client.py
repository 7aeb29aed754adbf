"""Settings of librdkafka, from the URI, a properties file and the environment.

The file and the environment may hold secrets, so their values never become part of a pipeline:
the process that opens a connection reads them at that moment.
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
"""Settings that a user must not give: exactness depends on them, or the URI has them."""

_VARIABLES = re.compile(r"KAFKA_((?:SASL|SSL)_\w+|SECURITY_PROTOCOL)")
_JAAS = re.compile(r"""\b(username|password)\s*=\s*["']([^"']*)["']""")

_librdkafka = logging.getLogger("chronon_beam.librdkafka")

_DEFAULTS: dict[str, Any] = {
    "client.id": "chronon-beam",
    "log_level": 2,  # this package logs what goes wrong once; librdkafka would repeat it
    "reconnect.backoff.max.ms": 2000,
    "logger": _librdkafka,
}

_READING: dict[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "isolation.level": "read_committed",
    # How much is fetched ahead of the job; a single message may be larger.
    "queued.max.messages.kbytes": 32_768,
    "fetch.error.backoff.ms": 200,
}


def admin_settings(options: KafkaOptions) -> dict[str, Any]:
    """The settings of an AdminClient.

    Raises:
        ValueError: the properties file is missing or wrong.
    """
    return {**_DEFAULTS, **_users(options), "bootstrap.servers": options.bootstrap}


def consumer_settings(options: KafkaOptions, group: str) -> dict[str, Any]:
    """The settings of a Consumer; raises as `admin_settings`."""
    return {**_READING, **admin_settings(options), "group.id": group}


def open_client(make: Callable[[dict[str, Any]], T], settings: dict[str, Any]) -> T:
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
    """The user's settings: those of the environment, replaced by those of the file."""
    found = environment_settings(_VARIABLES)
    if options.properties is not None:
        found |= read_properties(options.properties, "?properties", _OURS)
    if jaas := found.pop("sasl.jaas.config", None):
        found |= {f"sasl.{name}": value for name, value in _JAAS.findall(jaas)}
    return found
