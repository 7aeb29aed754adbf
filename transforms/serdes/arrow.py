"""The serde `arrow`: messages are rows of an Arrow table (`Messages.table`), as Parquet's are."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from chronon_beam.api.formats.python_values import python_row
from chronon_beam.api.formats.table_columns import TableColumns
from chronon_beam.api.plugins import refuse_unknown
from chronon_beam.api.records import Messages
from chronon_beam.api.serde import Decoded


def open_serde(parameters: Mapping[str, str]) -> "ArrowSerDe":
    """The serde; raises ValueError for any parameter."""
    refuse_unknown(parameters, (), "format arrow")
    return ArrowSerDe()


@dataclass(frozen=True)
class ArrowSerDe:
    """Arrow tables, each of which has a schema of its own."""

    def schema(self) -> pa.Schema | None:
        """None, since the source knows the columns of its tables."""
        return None

    def decoder(self, columns: pa.Schema) -> "ArrowDecoder":
        """See `SerDe.decoder`."""
        return ArrowDecoder(columns)


class ArrowDecoder:
    """Casts tables to `columns`; a row that cannot be cast without loss has a reason."""

    def __init__(self, columns: pa.Schema) -> None:
        self._columns = TableColumns(columns)
        self._none = pa.RecordBatch.from_pylist([], columns)

    def decode(self, messages: Messages) -> Decoded:
        """See `Decoder.decode`; if the table is damaged, all messages have a reason."""
        if messages.table is None:
            return Decoded(self._none)
        try:
            with pa.ipc.open_stream(messages.table) as stream:
                table = stream.read_all()
        except pa.ArrowException as error:
            reason = f"not an Arrow IPC stream: {error}"
            return Decoded(self._none, dict.fromkeys(range(len(messages.positions)), reason))
        batch, reasons = self._columns.read(table)
        return Decoded(batch, reasons, {index: _row_json(table, index) for index in reasons})

    def close(self) -> None:
        """Nothing is open."""


def _row_json(table: pa.Table, index: int) -> bytes:
    return json.dumps(python_row(table, index), default=str, ensure_ascii=False).encode()
