"""A client of Apicurio's own API, with the methods of Confluent's client.

Apicurio's serializers write an artifact's global id in front of a message. The same registry also
speaks Confluent's API, but finds schemas by other ids there, so that API cannot serve these
messages. A subject is `GROUP/ARTIFACT`, or the ARTIFACT alone in the group `default`.

Source: version 2 of Apicurio Registry's REST API, and zipline's `ApicurioSchemaSerDe`.
"""

import base64
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from confluent_kafka.schema_registry.error import SchemaRegistryError

_TLS = ("ssl.certificate.location", "ssl.key.location", "ssl.key.password")
_OF_TOKEN = ("bearer.auth.credentials.source", "bearer.auth.logical.cluster")
"""Settings that Confluent's client needs beside a token, and this client ignores."""

_KNOWN = ("basic.auth.user.info", "bearer.auth.token", *_OF_TOKEN, "ssl.ca.location", *_TLS)
_MOST_SUBJECTS = 500


class Reference(NamedTuple):
    """A schema that another one imports by `name`; see Confluent's SchemaReference."""

    name: str
    subject: str
    version: str


class ArtifactSchema(NamedTuple):
    """A schema; see Confluent's Schema."""

    schema_type: str
    schema_str: str
    references: list[Reference]


class ArtifactVersion(NamedTuple):
    """One version of an artifact; see Confluent's RegisteredSchema."""

    schema_id: int
    schema: ArtifactSchema


class ApicurioClient:
    """The part of Confluent's client that a job needs; it raises what that client raises.

    Args:
        url: the root of the API, for example `http://registry:8080/apis/registry/v2`.
        settings: for the account and TLS, by the names of Confluent's client.
        timeout_s: how long each answer may take.

    Raises:
        ValueError: a setting is not known here.
        OSError: a certificate cannot be read.
    """

    def __init__(self, url: str, settings: Mapping[str, str], timeout_s: float) -> None:
        if unknown := sorted(settings.keys() - {*_KNOWN}):
            raise ValueError(f"{unknown[0]} is not known with Apicurio's own API")
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._headers = _account(settings)
        self._tls = _tls(settings)

    def get_latest_version(self, subject: str) -> ArtifactVersion:
        """The newest version of an artifact."""
        return self._version(f"{_path(subject)}/meta")

    def get_version(self, subject: str, version: str) -> ArtifactVersion:
        """A version of an artifact."""
        return self._version(f"{_path(subject)}/versions/{quote(version, safe='')}/meta")

    def get_schema(self, schema_id: int) -> ArtifactSchema:
        """The schema with a global id."""
        found = self._json(f"search/artifacts?globalId={schema_id}")["artifacts"]
        return self._schema(schema_id, found[0]["type"] if found else "")

    def get_subjects(self) -> list[str]:
        """The artifacts' names, with their groups."""
        found = self._json(f"search/artifacts?limit={_MOST_SUBJECTS}")["artifacts"]
        return [_subject(each.get("groupId"), each["id"]) for each in found]

    def close(self) -> None:
        """Nothing is open."""

    def _version(self, path: str) -> ArtifactVersion:
        meta = self._json(path)
        return ArtifactVersion(meta["globalId"], self._schema(meta["globalId"], meta["type"]))

    def _schema(self, global_id: int, kind: str) -> ArtifactSchema:
        text = self._get(f"ids/globalIds/{global_id}").decode()
        references = [
            Reference(
                each["name"], _subject(each.get("groupId"), each["artifactId"]), each["version"]
            )
            for each in self._json(f"ids/globalIds/{global_id}/references")
        ]
        return ArtifactSchema(kind, text, references)

    def _json(self, path: str) -> Any:
        return json.loads(self._get(path))

    def _get(self, path: str) -> bytes:
        request = urllib.request.Request(f"{self._url}/{path}", headers=self._headers)
        try:
            with urllib.request.urlopen(
                request, timeout=self._timeout_s, context=self._tls
            ) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise SchemaRegistryError(error.code, error.code, str(error.reason)) from None


def _subject(group: str | None, artifact: str) -> str:
    return f"{group}/{artifact}" if group and group != "default" else artifact


def _path(subject: str) -> str:
    group, slash, artifact = subject.partition("/")
    group, artifact = (group, artifact) if slash else ("default", subject)
    return f"groups/{quote(group, safe='')}/artifacts/{quote(artifact, safe='')}"


def _account(settings: Mapping[str, str]) -> dict[str, str]:
    if user := settings.get("basic.auth.user.info"):
        return {"Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"}
    if token := settings.get("bearer.auth.token"):
        return {"Authorization": f"Bearer {token}"}
    return {}


def _tls(settings: Mapping[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.get("ssl.ca.location"))
    certificate, key, password = map(settings.get, _TLS)
    if certificate:
        context.load_cert_chain(certificate, key, password)
    return context
