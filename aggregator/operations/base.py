"""The arithmetic of an operation, as a record of functions: Chronon's `BaseAggregator`.

An IR is what an operation has accumulated, in the form that is fastest to update and to encode.
Tiles are encoded for every event, so several operations keep encoded parts in their IR. `update`
and `merge` return the next IR, and may change the one before in place. Inputs are never null.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from chronon_beam.api.data_types import DataType


def same(value: Any) -> Any:
    """The value itself."""
    return value


@dataclass(frozen=True)
class Aggregator:
    """One operation over one input type.

    Attributes:
        ir_type: Chronon type of the IR as Avro holds it.
        output_type: Chronon type of the final value.
        prepare: (input, ts_ms) to the first IR.
        update: (IR, input, ts_ms) to the next IR.
        merge: (IR, IR) to the IR of both; may change the first IR alone.
        merge_all: (IR, list of IRs) to what merging them one after another gives; may change the
            first IR alone. None where nothing is faster than that.
        finalize: IR to the final value.
        encode: IR to its Avro bytes, of `ir_type`.
        from_avro: the value that `avro_reader` gives for `ir_type`, to an IR.
        clone: IR to a copy, made as Chronon makes it; `update` and `merge` of the one do not change
            the other.
        fork: IR to a copy that cannot be told from it: with each later step both give the same, to
            the order of iteration. None where there is no such copy, as of most sketches.
        round_trip: an IR to the IR that Chronon has after it has written the bytes of this one and
            read them; None if the two are the same. A sketch may break ties another way afterwards.
        bulk_merge: the merged IR of a window, even of one tile, to the IR that Chronon's
            `bulkMerge` gives; None if the two are the same. A sketch may estimate another way
            afterwards.
        delete: (IR, input, ts_ms) to the IR without that input; may change the IR in place. None if
            Chronon's operation cannot delete (`BaseAggregator.isDeletable`).
        refuse: an input to the reason why it cannot be aggregated, or to None if it can; None if
            every input of the type can.
    """

    ir_type: DataType
    output_type: DataType
    prepare: Callable[[Any, int], Any]
    update: Callable[[Any, Any, int], Any]
    merge: Callable[[Any, Any], Any]
    encode: Callable[[Any], bytes]
    finalize: Callable[[Any], Any] = same
    from_avro: Callable[[Any], Any] = same
    clone: Callable[[Any], Any] = same
    fork: Callable[[Any], Any] | None = None
    round_trip: Callable[[Any], Any] | None = None
    bulk_merge: Callable[[Any], Any] | None = None
    merge_all: Callable[[Any, list[Any]], Any] | None = None
    delete: Callable[[Any, Any, int], Any] | None = None
    refuse: Callable[[Any], str | None] | None = None

    def inverse(self) -> "Aggregator | None":
        """The operation whose `update` deletes an input; None if the operation cannot delete.

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
