"""Opens a client of a schema registry, with settings that may be secret and are not in a URI.

The client speaks Apicurio's own API if the URL has `/apis/registry/` in it, else Confluent's. The
settings have the names of Confluent's client. Each process that connects reads them from the
properties file that `registry_config=` names. What is not in the file is read from the environment:
`SCHEMA_REGISTRY_BASIC_AUTH_...`, `SCHEMA_REGISTRY_BEARER_AUTH_...` and `SCHEMA_REGISTRY_SSL_...`,
where for example SCHEMA_REGISTRY_SSL_CA_LOCATION is `ssl.ca.location`.
"""

import re
from typing import Any

from chronon_beam.api.properties import environment_settings, read_properties, without_secrets

REMEDY = (
    "put user:password into $SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO or a token into "
    "$SCHEMA_REGISTRY_BEARER_AUTH_TOKEN, or basic.auth.user.info or bearer.auth.token into the "
    "file of registry_config="
)
"""The remedy in errors, for an account that is missing or wrong."""

_VARIABLES = re.compile(r"SCHEMA_REGISTRY_((?:BASIC_AUTH|BEARER_AUTH|SSL)_\w+)")
_OURS = ("url", "timeout", "max.retries", "retries.wait.ms", "retries.max.wait.ms")
_APICURIO = "/apis/registry/"
_TIMEOUT_S = 10.0
_TOKEN = {"bearer.auth.credentials.source": "STATIC_TOKEN", "bearer.auth.logical.cluster": ""}
"""Settings that the client needs besides a token; the user's own settings replace them."""


def registry_client(url: str, config: str | None) -> Any:
    """The client of the registry at `url`, which tries each question once.

    Args:
        url: the root of the API.
        config: the path of the properties file, if there is one.

    Raises:
        ImportError: the client library is missing.
        ValueError: the file cannot be read, or the client refuses a setting.
    """
    try:
        from confluent_kafka.schema_registry import SchemaRegistryClient

        from chronon_beam.transforms.schemas.apicurio_client import ApicurioClient
    except ImportError as error:
        raise ImportError(
            f"registry=: its client library is missing ({error}): install it with: "
            "pip install 'chronon-beam[kafka]'"
        ) from error
    settings = _users(config)
    try:
        if _APICURIO in url:
            return ApicurioClient(url, settings, _TIMEOUT_S)
        return SchemaRegistryClient(
            {"url": url, "max.retries": 0, "timeout": _TIMEOUT_S, **settings}
        )
    except (ValueError, TypeError, OSError) as error:
        raise ValueError(
            f"the client of the schema registry refuses a setting: "
            f"{without_secrets(str(error), settings)}; see registry_config= and "
            "$SCHEMA_REGISTRY_..., which take the names of Confluent's client for Python"
        ) from None


def _users(config: str | None) -> dict[str, str]:
    """The user's settings: those of the environment, replaced by those of the file."""
    found = environment_settings(_VARIABLES)
    if config is not None:
        found |= read_properties(config, "registry_config", _OURS)
    if found.get("basic.auth.credentials.source") == "USER_INFO":
        del found["basic.auth.credentials.source"]  # Java's clients need it, this one refuses it
    return {**_TOKEN, **found} if "bearer.auth.token" in found else found
