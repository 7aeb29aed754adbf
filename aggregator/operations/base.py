"""What one operation is: Chronon's `BaseAggregator`, with nulls kept away from it.

An IR is what the operation has accumulated, in whatever form is fast to update and to encode: a
tile is encoded for every event, so several operations keep what they have encoded already.
`update` and `merge` return the new IR and may change the old one in place.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from chronon_beam.api.data_types import DataType, StructType


@dataclass(frozen=True)
class IrRecord(StructType):
    """A record whose value is a tuple in field order, none of it null (AvgIr, TimePair)."""


def ir_record(record: str, *fields: tuple[str, DataType]) -> IrRecord:
    """The IR type called `record`."""
    return IrRecord(f"struct_{record}", record, fields)


def _same(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Aggregator:
    """One operation over one input type.

    Attributes:
        ir_type: Chronon type of the IR as Avro holds it.
        output_type: Chronon type of the final value.
        prepare: (input, ts_ms) to the first IR.
        update: (IR, input, ts_ms) to the next IR.
        merge: (IR, IR) to their union; only the first may be changed.
        finalize: IR to the final value.
        encode: IR to its Avro bytes, of `ir_type`.
        from_avro: the decoded value to an IR.
        clone: a copy that shares nothing that `update` or `merge` would change.
        read: an IR to what Chronon makes of its bytes; None where that is the same. A sketch may
            then break ties another way.
        gather: an IR to what Chronon makes of all that a window holds (`bulkMerge`), even of one
            IR; None where that is the same. A sketch may then estimate another way.
        delete: (IR, input, ts_ms) to the IR without that input; None where Chronon's operation
            cannot (`BaseAggregator.isDeletable`). It may change the IR in place.
        refuse: an input to the reason why it cannot be aggregated, or None; None where every input
            of the type can.
        simple: the operation does not look at time; lists and maps are taken apart for it.
    """

    ir_type: DataType
    output_type: DataType
    prepare: Callable[[Any, int], Any]
    update: Callable[[Any, Any, int], Any]
    merge: Callable[[Any, Any], Any]
    encode: Callable[[Any], bytes]
    finalize: Callable[[Any], Any] = _same
    from_avro: Callable[[Any], Any] = _same
    clone: Callable[[Any], Any] = _same
    read: Callable[[Any], Any] | None = None
    gather: Callable[[Any], Any] | None = None
    delete: Callable[[Any, Any, int], Any] | None = None
    refuse: Callable[[Any], str | None] | None = None
    simple: bool = True

    def inverse(self) -> "Aggregator | None":
        """The operation that takes inputs away; None where it cannot.

        What is taken away from nothing is owed: COUNT becomes -1 (`inversePrepare`).
        """
        delete, prepare = self.delete, self.prepare
        if delete is None:
            return None

        def owe(value: Any, ts_ms: int) -> Any:
            return delete(delete(prepare(value, ts_ms), value, ts_ms), value, ts_ms)

        return replace(self, prepare=owe, update=delete)


def record_from_avro(decoded: dict[str, Any]) -> tuple[Any, ...]:
    """A decoded Avro record as the tuple of its values; field names may have been renamed."""
    return tuple(decoded.values())
