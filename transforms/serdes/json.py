"""The serde `json`: each message is one JSON object, alone or in Confluent's framing.

- A missing field is null. A field that is not a column is ignored. Of two fields with one name the
  last counts.
- A top-level field is found by its exact name, else by its name in another case.
- Whole floats (`1.0`) can be read as integers; no other value changes its kind: `"12"` and `true`
  are not integers.
- TIMESTAMP is ISO-8601 text (UTC unless it has an offset) or epoch milliseconds; DATE is ISO text
  or epoch days; DECIMAL is a number or text, rounded half up to the column's scale; BINARY is
  base64 text.
- NaN, infinity and text that is not UTF-8 are refused, since JSON does not allow them.

Every column may be null, as in Spark when it reads files. Parameters, all optional:

- `json_schema`: a file with a JSON Schema, from which the columns are taken; or
- `registry`: the URL of a schema registry, and `subject`, whose latest JSON Schema has the columns
  (default for a Kafka topic: `TOPIC-value`);
  `registry_config`: a properties file (see `transforms.schemas.registry_client`);
- `framing`: `confluent` (default with a registry) or `none`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa

from chronon_beam.api.formats.exact_json import exact_columns, restore_digits
from chronon_beam.api.formats.json_columns import JsonColumns
from chronon_beam.api.plugins import refuse_unknown
from chronon_beam.api.records import Messages
from chronon_beam.api.serde import Decoded, Reasons
from chronon_beam.transforms.schemas.framing import unframe
from chronon_beam.transforms.schemas.json_schema import json_schema_columns
from chronon_beam.transforms.schemas.parameters import choice, latest_schema

_KNOWN = ("json_schema", "registry", "subject", "registry_config", "framing")
JsonObject = dict[str, Any]

_KINDS = {list: "array", str: "string", bool: "boolean", int: "number", float: "number"}


def open_serde(parameters: Mapping[str, str]) -> "JsonSerDe":
    """The serde, with the columns of the JSON Schema, if one is given.

    Raises:
        ValueError: a parameter is unknown or wrong, or the schema is.
        OSError: the file cannot be read, or the registry does not answer.
    """
    refuse_unknown(parameters, _KNOWN, "format json")
    default = "confluent" if "registry" in parameters else "none"
    framing = choice(parameters, "framing", ("confluent", "none"), default)
    return JsonSerDe(_columns(parameters), framing == "confluent")


def _columns(parameters: Mapping[str, str]) -> pa.Schema | None:
    if "json_schema" in parameters and "registry" in parameters:
        raise ValueError("format json: give json_schema= or registry=, not both")
    if "json_schema" in parameters:
        return json_schema_columns(Path(parameters["json_schema"]).read_text(encoding="utf-8"))
    if "registry" in parameters:
        return json_schema_columns(latest_schema(parameters, "JSON").text)
    return None


@dataclass(frozen=True)
class JsonSerDe:
    """JSON objects.

    Attributes:
        columns: the columns of the JSON Schema; None without a JSON Schema.
        framed: whether messages are in Confluent's framing; the schema ids in it are not used.
    """

    columns: pa.Schema | None = None
    framed: bool = False

    def schema(self) -> pa.Schema | None:
        """The columns of the JSON Schema; None if the user or the source must give them."""
        return self.columns

    def decoder(self, columns: pa.Schema) -> "JsonDecoder":
        """See `SerDe.decoder`; raises ValueError if JSON has no form for a column's type."""
        return JsonDecoder(columns, self.framed)


class JsonDecoder:
    """Reads JSON objects into `columns`."""

    def __init__(self, columns: pa.Schema, framed: bool = False) -> None:
        self._columns = JsonColumns(columns)
        self._exact = exact_columns(columns)
        self._framed = framed

    def decode(self, messages: Messages) -> Decoded:
        """See `Decoder.decode`."""
        rows, reasons = self.parse(messages.payloads)
        batch, unfit = self._columns.read([row for row in rows if row is not None])
        if unfit:
            objects = [index for index, row in enumerate(rows) if row is not None]
            reasons.update((objects[index], reason) for index, reason in unfit.items())
        return Decoded(batch, reasons)

    def close(self) -> None:
        """Nothing is open."""

    def parse(self, payloads: list[bytes]) -> tuple[list[JsonObject | None], Reasons]:
        """The object of each payload, or None and the reason why there is none."""
        bodies, unframed = _bodies(payloads) if self._framed else (payloads, {})
        rows, reasons = _parse(bodies)
        if self._exact:
            for row, body in zip(rows, bodies, strict=True):
                if row is not None:
                    restore_digits(row, body, self._exact)
        return rows, reasons | unframed


def _bodies(payloads: list[bytes]) -> tuple[list[bytes], Reasons]:
    """Payloads without their frames; a payload without a frame is empty here, and has a reason."""
    bodies: list[bytes] = []
    reasons: Reasons = {}
    for index, payload in enumerate(payloads):
        try:
            bodies.append(unframe(payload).body)
        except ValueError as error:
            bodies.append(b"")
            reasons[index] = str(error)
    return bodies, reasons


def _parse(payloads: list[bytes]) -> tuple[list[JsonObject | None], Reasons]:
    """The object of each payload, or None and the reason why there is none."""
    try:
        rows: list[object] = list(map(orjson.loads, payloads))
    except orjson.JSONDecodeError:
        rows = list(map(_parse_one, payloads))
    reasons: Reasons = {}
    if set(map(type, rows)) - {dict}:
        for index, row in enumerate(rows):
            if type(row) is not dict:
                reasons[index] = _no_object(row)
                rows[index] = None
    return rows, reasons


def _parse_one(payload: bytes) -> object:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        return error


def _no_object(value: object) -> str:
    if isinstance(value, orjson.JSONDecodeError):
        return f"not JSON: {value}"
    return f"a JSON object is expected, found {_KINDS.get(type(value), 'null')}"
