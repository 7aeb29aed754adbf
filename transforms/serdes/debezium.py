"""The serde `debezium`: changes of a table as Debezium writes them with the JSON converter.

Each message is `{"before": ..., "after": ..., "op": ..., "ts_ms": ..., "source": ...}`, alone or as
the `payload` beside its `schema`. These fields are the columns. In a job over entities, the rows
before and after a change become mutations (see `transforms.envelope`). The Avro converter writes
ordinary Avro, so its messages need the serde `avro`.

Parameters, all optional:

- `example`: a file with one message that has a `schema`: the columns are taken from it. Values are
  then read by the types of Kafka Connect, for example decimals from bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson
import pyarrow as pa

from chronon_beam.api.formats.json_columns import JsonColumns
from chronon_beam.api.plugins import refuse_unknown
from chronon_beam.api.records import Messages
from chronon_beam.api.serde import Decoded, Reasons
from chronon_beam.transforms.schemas.connect_schema import (
    ConnectType,
    Convert,
    connect_fields,
    convert_fields,
)
from chronon_beam.transforms.serdes.json import JsonDecoder, JsonObject

_WRAPPED = {"schema", "payload"}


def open_serde(parameters: Mapping[str, str]) -> "DebeziumSerDe":
    """The serde, with the columns of the example, if one is given.

    Raises:
        ValueError: a parameter is unknown, or the example has no schema.
        OSError: the file cannot be read.
    """
    refuse_unknown(parameters, ("example",), "format debezium")
    path = parameters.get("example")
    if path is None:
        return DebeziumSerDe()
    try:
        message = orjson.loads(Path(path).read_bytes())
        schema = message["schema"]
        connect_fields(schema)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"example={path}: one message with its schema is expected, as the JSON converter "
            f"writes it with schemas.enable=true: {error}"
        ) from None
    return DebeziumSerDe(orjson.dumps(schema))


@dataclass(frozen=True)
class DebeziumSerDe:
    """Debezium's changes as JSON.

    Attributes:
        connect_schema: the schema of the example, as JSON; None without an example.
    """

    connect_schema: bytes | None = None

    def schema(self) -> pa.Schema | None:
        """The fields of the envelope; None without an example."""
        if self.connect_schema is None:
            return None
        return pa.schema(
            [
                pa.field(name, each.type) if isinstance(each, ConnectType) else each
                for name, each in self._fields().items()
            ]
        )

    def decoder(self, columns: pa.Schema) -> "DebeziumDecoder":
        """See `SerDe.decoder`; raises ValueError if JSON has no form for a column's type."""
        fields = self._fields() if self.connect_schema else {}
        converts = {
            name: each.convert
            for name, each in fields.items()
            if isinstance(each, ConnectType) and each.convert and name in columns.names
        }
        return DebeziumDecoder(columns, converts)

    def _fields(self) -> dict[str, ConnectType | pa.Field]:
        return connect_fields(orjson.loads(self.connect_schema or b"{}"))


class DebeziumDecoder:
    """Reads Debezium's changes into `columns`."""

    def __init__(self, columns: pa.Schema, converts: Mapping[str, Convert]) -> None:
        self._parser = JsonDecoder(columns)
        self._columns = JsonColumns(columns)
        self._converts = converts

    def decode(self, messages: Messages) -> Decoded:
        """See `Decoder.decode`."""
        rows, reasons = self._parser.parse(messages.payloads)
        indices: list[int] = []
        changes: list[JsonObject] = []
        for index, row in enumerate(rows):
            change = None if row is None else _change(row)
            if isinstance(change, dict):
                indices.append(index)
                changes.append(dict(convert_fields(change, self._converts)))
            elif row is not None:
                reasons[index] = "not a change: its payload is not an object"
        batch, unfit = self._columns.read(changes)
        return Decoded(batch, reasons | _at(indices, unfit))

    def close(self) -> None:
        """Nothing is open."""


def _change(row: JsonObject) -> object:
    return row["payload"] if "payload" in row and set(row) <= _WRAPPED else row


def _at(indices: list[int], reasons: Reasons) -> Reasons:
    return {indices[index]: reason for index, reason in reasons.items()}
