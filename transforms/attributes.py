"""Attributes: columns that a source has of each message, beside those in the payload.

Examples are the key and the headers of a Kafka record, and the day in the name of a file's folder.
`AttributeSerDe` adds them to the columns of another serde, so Decode handles attributes and payload
alike.
"""

from dataclasses import dataclass

import pyarrow as pa

from chronon_beam.api.records import Messages
from chronon_beam.api.serde import Decoded, Decoder, SerDe


def with_attributes(
    serde: SerDe, attributes: pa.Schema, schema: pa.Schema, *, first: bool = False
) -> "AttributeSerDe":
    """The serde, with `attributes` as further columns.

    Args:
        serde: for the payloads.
        attributes: the columns of `Messages.attributes`.
        schema: the columns of the payloads, from the user or inferred from the payloads.
        first: of an attribute and a column of the payload with one name, whether the attribute is
            taken; its type is then the column's.
    """
    columns = {each.name.lower(): each for each in schema}
    if not first:
        others = [each for each in attributes if each.name.lower() not in columns]
        return AttributeSerDe(serde, schema, pa.schema(others))
    typed = [
        each.with_type(columns[each.name.lower()].type) if each.name.lower() in columns else each
        for each in attributes
    ]
    taken = {each.name.lower() for each in attributes}
    payload = [each for each in schema if each.name.lower() not in taken]
    return AttributeSerDe(serde, pa.schema(payload), pa.schema(typed))


@dataclass(frozen=True)
class AttributeSerDe:
    """A serde for messages with attributes.

    Attributes:
        serde: for the payloads.
        payload: the columns of the payloads.
        attributes: the columns of the attributes; none of them is in `payload`.
    """

    serde: SerDe
    payload: pa.Schema
    attributes: pa.Schema

    def schema(self) -> pa.Schema:
        """The columns of the payload, then the attributes."""
        return pa.schema([*self.payload, *self.attributes])

    def decoder(self, columns: pa.Schema) -> Decoder:
        """See `SerDe.decoder`."""
        known = [each for each in columns if each.name in self.attributes.names]
        if not known:
            return self.serde.decoder(columns)
        rest = [each for each in columns if each not in known]
        return _AttributeDecoder(self.serde.decoder(pa.schema(rest)), columns, pa.schema(known))


class _AttributeDecoder:
    def __init__(self, decoder: Decoder, columns: pa.Schema, known: pa.Schema) -> None:
        self._decoder = decoder
        self._columns = columns
        self._known = known

    def decode(self, messages: Messages) -> Decoded:
        decoded = self._decoder.decode(messages)
        rows = [i for i in range(len(messages.positions)) if i not in decoded.reasons]
        found = messages.attributes
        if found is None:
            found = pa.RecordBatch.from_pylist([{}] * len(messages.positions), self._known)
        if decoded.reasons:
            found = found.take(pa.array(rows, pa.int64()))
        parts = [
            _cast(found.column(each.name), each.type)
            if each.name in self._known.names
            else decoded.batch.column(each.name)
            for each in self._columns
        ]
        return decoded._replace(batch=pa.RecordBatch.from_arrays(parts, schema=self._columns))

    def close(self) -> None:
        self._decoder.close()


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_string(column.type) and pa.types.is_timestamp(kind):
        column = column.cast(pa.timestamp("us"))  # text without an offset is UTC
    return column.cast(kind)
