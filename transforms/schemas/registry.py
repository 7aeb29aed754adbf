"""The schemas of a registry with Confluent's API (Confluent's own, Karapace) or Apicurio's.

A job only reads: the latest schema of a subject when it is built, and the schema of an id in a
message while it runs. It never registers a schema.

Credentials are never in a URI, which is printed and pickled: see `registry_client`.
"""

import difflib
import logging
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from chronon_beam.transforms.schemas.registry_client import REMEDY, registry_client

BUILD_WAIT_S = 10.0
"""How long the build of a job waits for a registry that does not answer."""

RUN_WAIT_S = 300.0
"""How long a running job waits before the bundle fails and the runner takes over."""

_UNKNOWN_FOR_S = 30.0
"""How long an id counts as unknown before the registry is asked for it again."""

_MOST_UNKNOWN = 10_000
"""How many unknown ids are remembered: damaged messages may carry any number."""

_REPEAT_S = 60.0
"""How often the log says that a registry is waited for."""

_LATER = (408, 429)
"""The HTTP errors of the 400s that may pass: the registry is asked again."""

_LOG = logging.getLogger(__name__)

T = TypeVar("T")


class RegistryDown(OSError):
    """The registry does not answer; the message says which one, and the last error."""


class UnknownSchema(ValueError):
    """The registry answers, and has no such schema."""


class RegisteredSchema(NamedTuple):
    """One schema, with all that it refers to.

    Attributes:
        id: the number in front of the messages that were written with this schema.
        kind: `AVRO`, `PROTOBUF` or `JSON`.
        text: its definition.
        references: the definitions that the schema imports, directly or by way of others, by the
            name in the import.
    """

    id: int
    kind: str
    text: str
    references: Mapping[str, str] = {}


@dataclass(frozen=True)
class Registry:
    """Where schemas are kept: a plain value that can be pickled.

    Attributes:
        url: the root of the API, for example `http://registry:8081`.
        config: path of a properties file with further settings; see `registry_client`.

    Raises:
        ValueError: the URL is not one, or holds a password.
    """

    url: str
    config: str | None = None

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"registry={self.url}: a URL such as http://registry:8081 is expected")
        if parts.password or parts.username:
            raise ValueError(f"registry=: a password in a URL is printed and stored: {REMEDY}")

    def connect(self, wait_s: float = RUN_WAIT_S) -> "SchemaRegistry":
        """A client, which waits up to `wait_s` for each answer.

        Raises:
            ImportError: the client library is missing.
            ValueError: the client refuses a setting; see `registry_client`.
        """
        return SchemaRegistry(self, wait_s)


@dataclass
class SchemaRegistry:
    """A client of one registry, which asks once for each schema.

    Attributes:
        registry: where the registry is.
        wait_s: how long a call waits for a registry that does not answer; the wait is logged.
        pause_s: the pause between two attempts.
        clock: gives seconds.
    """

    registry: Registry
    wait_s: float
    pause_s: float = 2.0
    clock: Callable[[], float] = time.monotonic
    _by_id: dict[int, RegisteredSchema] = field(default_factory=dict)
    _unknown: dict[int, float] = field(default_factory=dict)
    _logged_s: float | None = None

    def __post_init__(self) -> None:
        self._client = registry_client(self.registry.url, self.registry.config)

    def latest(self, subject: str) -> RegisteredSchema:
        """The newest schema of a subject.

        Raises:
            UnknownSchema: there is no such subject; the message has the nearest names.
            RegistryDown: no answer in time.
        """
        found = self._ask(lambda: self._client.get_latest_version(subject))
        if found is None:
            raise UnknownSchema(self._no_subject(subject))
        return self._complete(found.schema_id, found.schema)

    def by_id(self, schema_id: int) -> RegisteredSchema:
        """The schema with that id.

        Raises:
            UnknownSchema: there is none; the registry is asked again after half a minute.
            RegistryDown: no answer in time.
        """
        if schema_id not in self._by_id:
            self._by_id[schema_id] = self._fetch(schema_id)
        return self._by_id[schema_id]

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _fetch(self, schema_id: int) -> RegisteredSchema:
        asked_s = self._unknown.get(schema_id)
        if asked_s is None or self.clock() - asked_s > _UNKNOWN_FOR_S:
            schema = self._ask(lambda: self._client.get_schema(schema_id))
            if schema is not None:
                return self._complete(schema_id, schema)
            if len(self._unknown) >= _MOST_UNKNOWN:
                self._unknown.clear()
            self._unknown[schema_id] = self.clock()
        raise UnknownSchema(f"the schema registry {self.registry.url} has no schema {schema_id}")

    def _no_subject(self, subject: str) -> str:
        subjects = self._ask(self._client.get_subjects)
        if subjects is None:
            return (
                f"registry={self.registry.url} is not the root of a schema registry's API, which "
                "is for example http://HOST:8081 of Confluent's and "
                "http://HOST:8080/apis/ccompat/v7 of Apicurio's"
            )
        near = difflib.get_close_matches(subject, subjects, n=5, cutoff=0.3)
        hint = f"did you mean {' or '.join(near)}?" if near else "it has no subject like it"
        return (
            f"the schema registry {self.registry.url} has no subject {subject!r}: {hint} "
            "Name it with subject="
        )

    def _complete(self, schema_id: int, schema: Any) -> RegisteredSchema:
        references = dict(self._references(schema))
        kind = schema.schema_type or "AVRO"
        return RegisteredSchema(schema_id, kind, schema.schema_str, references)

    def _references(self, schema: Any) -> Iterator[tuple[str, str]]:
        """The definitions that a schema imports, by name, each after those that it imports."""
        for each in schema.references or ():
            found = self._ask(
                lambda each=each: self._client.get_version(each.subject, each.version)
            )
            if found is None:
                raise UnknownSchema(
                    f"a schema refers to version {each.version} of subject {each.subject!r}, which "
                    f"the schema registry {self.registry.url} does not have"
                )
            yield from self._references(found.schema)
            yield each.name, found.schema.schema_str

    def _ask(self, question: Callable[[], T]) -> T | None:
        """Ask until there is an answer, or time is up; None means that there is no such thing.

        Raises:
            PermissionError: the registry refuses, and waiting does not help.
            RegistryDown: no answer in time.
        """
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        began_s = self.clock()
        while True:
            try:
                return self._end_wait(question(), began_s)
            except SchemaRegistryError as error:
                if error.http_status_code == 404:
                    return self._end_wait(None, began_s)
                self._refuse(error.http_status_code, error.error_message)
                problem: Exception = error
            except Exception as error:  # whatever the HTTP library raises when it gets no answer
                self._refuse_certificate(error)
                problem = error
            self._wait(began_s, problem)

    def _end_wait(self, answer: T | None, began_s: float) -> T | None:
        """The answer; logs that the wait is over, if the wait was logged."""
        if self._logged_s is not None:
            self._logged_s = None
            url, waited_s = self.registry.url, self.clock() - began_s
            _LOG.warning("the schema registry %s answers again, after %.0f s", url, waited_s)
        return answer

    def _refuse(self, status: int, message: str) -> None:
        """Raise an error for an HTTP status that waiting does not change."""
        if status in (401, 403):
            raise PermissionError(
                f"the schema registry {self.registry.url} refuses access ({message}): {REMEDY}"
            ) from None
        if 400 <= status < 500 and status not in _LATER:
            raise PermissionError(
                f"the schema registry {self.registry.url} refuses the question (HTTP {status}: "
                f"{message}): is registry= the root of its API?"
            ) from None

    def _refuse_certificate(self, error: BaseException) -> None:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLError):
                raise PermissionError(
                    f"no TLS connection to the schema registry {self.registry.url} ({cause}): see "
                    "ssl.ca.location, ssl.certificate.location and ssl.key.location in the file "
                    "of registry_config="
                ) from None
            cause = cause.__cause__ or cause.__context__

    def _wait(self, began_s: float, problem: Exception) -> None:
        waited_s = self.clock() - began_s
        if waited_s >= self.wait_s:
            raise RegistryDown(
                f"the schema registry {self.registry.url} has not answered for {waited_s:.0f} s: "
                f"{problem}"
            ) from None
        if self._logged_s is None or self.clock() - self._logged_s >= _REPEAT_S:
            self._logged_s = self.clock()
            _LOG.warning(
                "the schema registry %s does not answer (%s): waiting for it, since %.0f s",
                self.registry.url,
                problem,
                waited_s,
            )
        time.sleep(min(self.pause_s, self.wait_s))
