"""Distinct values and percentiles by sketches, in the bytes of the DataSketches library.

Source: `ApproxDistinctCount` and `ApproxPercentiles` in
`ai.chronon.aggregator.base.SimpleAggregators`. The IR is the library's sketch object itself: its
bytes are written in less than a microsecond.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from datasketches import (
    cpc_sketch,  # pyright: ignore[reportAttributeAccessIssue]
    cpc_union,  # pyright: ignore[reportAttributeAccessIssue]
    kll_floats_sketch,  # pyright: ignore[reportAttributeAccessIssue]
)

from chronon_beam.aggregator.avro import encoder, opaque
from chronon_beam.aggregator.jvm.cpc_bytes import hashed_as
from chronon_beam.aggregator.operations.base import Aggregator
from chronon_beam.aggregator.operations.spec import (
    HASHED,
    K,
    OperationSpec,
    with_decimals_as_doubles,
)
from chronon_beam.api.data_types import (
    BINARY,
    FLOAT,
    FLOATS,
    LONG,
    NUMBERS,
    STRING,
    DataType,
    list_of,
)
from chronon_beam.api.dialect import Operation
from chronon_beam.api.group_by import AggregationPart, GroupByError

_LONG = 0xFFFFFFFFFFFFFFFF

_encode_bytes = encoder(BINARY)


def _hashable(input_type: DataType, lg_k: int) -> Callable[[Any], Any]:
    """The function that gives what a sketch counts for a value; of a long it is the 64 bits."""
    if input_type == BINARY:
        return lambda value: hashed_as(value, lg_k)
    if input_type == STRING or input_type in FLOATS:
        return lambda value: value
    return lambda value: value & _LONG


def approx_unique_count(input_type: DataType, lg_k: int) -> Aggregator:
    """APPROX_UNIQUE_COUNT by a CPC sketch of 2**lg_k rows."""
    hashable = _hashable(input_type, lg_k)

    def update(ir: cpc_sketch, value: Any, ts_ms: int) -> cpc_sketch:
        ir.update(hashable(value))
        return ir

    def union(*irs: cpc_sketch) -> cpc_sketch:
        merger = cpc_union(lg_k)
        for ir in irs:
            merger.update(ir)
        return merger.get_result()

    return Aggregator(
        ir_type=BINARY,
        output_type=LONG,
        prepare=lambda value, ts_ms: update(cpc_sketch(lg_k), value, ts_ms),
        update=update,
        merge=union,
        encode=lambda ir: _encode_bytes(ir.serialize()),
        finalize=lambda ir: int(ir.get_estimate()),
        from_avro=opaque(lambda payload: _read_cpc(payload, lg_k)),
        clone=union,
        # Once merged, a CPC sketch no longer estimates by its history.
        bulk_merge=union,
    )


def _read_cpc(payload: bytes, lg_k: int) -> cpc_sketch:
    ir = cpc_sketch.deserialize(payload)
    # The library reads an empty sketch without the state that its estimates start from.
    return cpc_sketch(lg_k) if ir.is_empty() else ir


def approx_percentile(k: int, percentiles: Sequence[float], inclusive: bool) -> Aggregator:
    """APPROX_PERCENTILE by a KLL sketch of floats.

    Args:
        k: accuracy of the sketch.
        percentiles: ranks from 0 to 1.
        inclusive: whether a value counts into its own rank.
    """
    ranks = list(percentiles)

    def update(ir: kll_floats_sketch, value: float, ts_ms: int) -> kll_floats_sketch:
        ir.update(value)
        return ir

    def merge(a: kll_floats_sketch, b: kll_floats_sketch) -> kll_floats_sketch:
        a.merge(b)
        return a

    return Aggregator(
        ir_type=BINARY,
        output_type=list_of(FLOAT),
        prepare=lambda value, ts_ms: update(kll_floats_sketch(k), value, ts_ms),
        update=update,
        merge=merge,
        encode=lambda ir: _encode_bytes(ir.serialize()),
        finalize=lambda ir: _quantiles(ir, ranks, inclusive),
        from_avro=opaque(kll_floats_sketch.deserialize),
        clone=lambda ir: kll_floats_sketch.deserialize(ir.serialize()),
    )


def _quantiles(ir: kll_floats_sketch, ranks: list[float], inclusive: bool) -> list[float] | None:
    # The sketch leaves out NaN, so it may be empty.
    if ir.is_empty():
        return None
    # Java's library answers the ranks 0 and 1 from the exact extremes, this one from its samples.
    extremes = {0.0: ir.get_min_value(), 1.0: ir.get_max_value()}
    found = ir.get_quantiles(ranks, inclusive)
    return [extremes.get(rank, value) for rank, value in zip(ranks, found, strict=True)]


def _percentiles(part: AggregationPart) -> list[float]:
    """The argument `percentiles`; raises GroupByError if it is not a list of ranks."""
    text = dict(part.arguments).get("percentiles", "[0.5]")
    try:
        ranks = json.loads(text)
    except ValueError:
        ranks = None
    numbers = isinstance(ranks, list) and all(type(rank) in (int, float) for rank in ranks)
    if not ranks or not numbers or not all(0 <= rank <= 1 for rank in ranks):
        raise GroupByError(
            f"{part.column}: percentiles must be a JSON list of numbers from 0 to 1, found "
            f"{text!r}: for example argMap={{'percentiles': '[0.5, 0.95]'}}"
        )
    return [float(rank) for rank in ranks]


OPERATIONS = {
    Operation.APPROX_UNIQUE_COUNT: OperationSpec(
        with_decimals_as_doubles(
            lambda request: approx_unique_count(request.input_type, request.k)
        ),
        "estimated number of distinct values",
        "CPC sketch of 2^k rows: for k = 8 about 4 % off",
        inputs=HASHED,
        k=K(8, 4, 26),
        decimals=True,
    ),
    Operation.APPROX_PERCENTILE: OperationSpec(
        with_decimals_as_doubles(
            lambda request: approx_percentile(
                request.k, _percentiles(request.part), request.dialect.inclusive_ranks
            )
        ),
        "value at each rank of `percentiles`, a JSON list, by default `[0.5]`",
        "KLL sketch of floats; exact up to about k values, then for k = 128 ranks 2 % off",
        inputs=NUMBERS,
        k=K(128, 8, 65535),
        decimals=True,
    ),
}
