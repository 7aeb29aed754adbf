"""What an operation is: Chronon's `BaseAggregator`, which never gets a null.

An IR is what an operation has accumulated, in whatever form is fast to update and to encode: a
tile is encoded for every event, so several operations keep encoded parts in their IR. `update` and
`merge` return the next IR and may change the one before in place.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from chronon_beam.api.data_types import DataType


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
        round_trip: an IR to the IR that Chronon has after it wrote the bytes of this one and read
            them; None where the two are the same. A sketch may break ties another way afterwards.
        bulk_merge: the merged IR of a window, of one tile too, to the IR that Chronon's `bulkMerge`
            gives; None where the two are the same. A sketch may estimate another way afterwards.
        delete: (IR, input, ts_ms) to the IR without that input; None where Chronon's operation
            cannot delete (`BaseAggregator.isDeletable`). It may change the IR in place.
        refuse: an input to the reason why it cannot be aggregated, or None when it can; None where
            every input of the type can.
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
    round_trip: Callable[[Any], Any] | None = None
    bulk_merge: Callable[[Any], Any] | None = None
    delete: Callable[[Any, Any, int], Any] | None = None
    refuse: Callable[[Any], str | None] | None = None

    def inverse(self) -> "Aggregator | None":
        """The operation whose `update` deletes an input; None where it cannot delete.

        Deleting from an empty IR leaves a debt: COUNT becomes -1 (`inversePrepare`).
        """
        delete, prepare = self.delete, self.prepare
        if delete is None:
            return None

        def prepare_debt(value: Any, ts_ms: int) -> Any:
            return delete(delete(prepare(value, ts_ms), value, ts_ms), value, ts_ms)

        return replace(self, prepare=prepare_debt, update=delete)

    def over_decimals(self) -> "Aggregator":
        """This operation over doubles as an operation over decimals, each taken as a double."""
        prepare, update, delete = self.prepare, self.update, self.delete

        def delete_decimal(ir: Any, value: Decimal, ts_ms: int) -> Any:
            assert delete is not None
            return delete(ir, float(value), ts_ms)

        return replace(
            self,
            prepare=lambda value, ts_ms: prepare(float(value), ts_ms),
            update=lambda ir, value, ts_ms: update(ir, float(value), ts_ms),
            delete=delete_decimal if delete is not None else None,
        )


def record_from_avro(decoded: dict[str, Any]) -> tuple[Any, ...]:
    """A decoded Avro record as the tuple of its values; field names may have been renamed."""
    return tuple(decoded.values())
