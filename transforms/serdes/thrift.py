"""The serde `thrift`: each message is one Thrift struct, in the binary or the compact protocol.

Parameters:

- `thrift`: a .thrift file; `include`: folders in which its includes are, separated by commas;
- `struct`: the name of the struct; needed if the file declares several;
- `protocol`: `binary` (default) or `compact`.

A message that was written with another version of the schema is read by the numbers of its fields,
as in Thrift. `transforms.schemas.thrift_types` has the types of the columns.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
from thrift.protocol.TBinaryProtocol import TBinaryProtocolAccelerated
from thrift.protocol.TCompactProtocol import TCompactProtocolAccelerated
from thrift.protocol.TProtocol import TProtocolException
from thrift.transport.TTransport import TMemoryBuffer

from chronon_beam.api.formats.record_columns import fields_columns, fields_schema
from chronon_beam.api.plugins import refuse_unknown
from chronon_beam.api.records import Messages
from chronon_beam.api.serde import Decoded, Reasons
from chronon_beam.transforms.schemas.parameters import choice, one_of
from chronon_beam.transforms.schemas.thrift_files import ThriftFiles, read_files, struct_of
from chronon_beam.transforms.schemas.thrift_types import (
    Struct,
    reader_of,
    thrift_fields,
)

_KNOWN = ("thrift", "include", "struct", "protocol")
_PROTOCOLS = {"binary": TBinaryProtocolAccelerated, "compact": TCompactProtocolAccelerated}
_DAMAGED = (EOFError, TypeError, OverflowError, ValueError, TProtocolException)
"""The errors that the protocols raise for bytes that are not a struct."""


def open_serde(parameters: Mapping[str, str]) -> "ThriftSerDe":
    """The serde, with its schema.

    Raises:
        ValueError: a parameter is unknown, missing or wrong, or the schema is.
        OSError: a file cannot be read.
    """
    refuse_unknown(parameters, _KNOWN, "format thrift")
    one_of(parameters, ("thrift",), "format thrift")
    include = [each for each in parameters.get("include", "").split(",") if each]
    files = read_files(parameters["thrift"], include)
    name = struct_of(files, parameters.get("struct")).__name__
    return ThriftSerDe(files, name, choice(parameters, "protocol", tuple(_PROTOCOLS), "binary"))


@dataclass(frozen=True)
class ThriftSerDe:
    """Thrift structs of one type.

    Attributes:
        files: the schema.
        struct: the name of the struct.
        protocol: `binary` or `compact`.
    """

    files: ThriftFiles
    struct: str
    protocol: str = "binary"

    def schema(self) -> pa.Schema:
        """The fields of the struct; one that holds itself is refused if a query reads it."""
        return fields_schema(thrift_fields(self.declared()))

    def decoder(self, columns: pa.Schema) -> "ThriftDecoder":
        """See `SerDe.decoder`; raises RecursiveField for a column that holds itself."""
        return ThriftDecoder(self, columns)

    def declared(self) -> Struct:
        """The class of thriftpy2 for the struct."""
        return struct_of(self.files, self.struct)


class ThriftDecoder:
    """Reads Thrift structs into columns."""

    def __init__(self, serde: ThriftSerDe, columns: pa.Schema) -> None:
        self._reader = reader_of(serde.declared())
        self._protocol = _PROTOCOLS[serde.protocol]
        self._columns = fields_columns(thrift_fields(serde.declared()), columns)

    def decode(self, messages: Messages) -> Decoded:
        """See `Decoder.decode`."""
        structs: list[Struct] = []
        rows: list[int] = []
        reasons: Reasons = {}
        for index, payload in enumerate(messages.payloads):
            try:
                structs.append(self._read(payload))
                rows.append(index)
            except _DAMAGED as error:
                why = str(error) or "it is cut short"
                reasons[index] = f"not a Thrift struct of this schema: {why}"
        batch, unfit = self._columns.read(structs)
        return Decoded(batch, reasons | {rows[index]: why for index, why in unfit.items()})

    def close(self) -> None:
        """Nothing is open."""

    def _read(self, payload: bytes) -> Struct:
        """Raises one of `_DAMAGED`."""
        size = len(payload)
        buffer = TMemoryBuffer(payload)
        protocol = self._protocol(buffer, string_length_limit=size, container_length_limit=size)
        struct = self._reader()
        struct.read(protocol)
        left = size - buffer.cstringio_buf.tell()
        if left:
            raise ValueError(f"{left} bytes are left after it")
        return struct
