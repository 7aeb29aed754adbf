"""Averages and higher moments, in one pass.

Source: `Average`, `WelfordState`, `MomentAggregator` in
`ai.chronon.aggregator.base.SimpleAggregators`. The arithmetic takes the same steps, and so gives
the same bits.
"""

import math
import struct
from collections.abc import Callable

from chronon_beam.aggregator.avro import PRESENT, encode_count, ir_record
from chronon_beam.aggregator.expressions import expression
from chronon_beam.aggregator.operations.base import Aggregator, same
from chronon_beam.aggregator.operations.spec import OperationSpec, with_decimals_as_doubles
from chronon_beam.api.data_types import DOUBLE, INT, LONG, NUMBERS, list_of
from chronon_beam.api.dialect import Operation

Variance = tuple[int, float, float]
Moments = tuple[float, float, float, float, float]

# Each field is a union [null, T]: the byte 2 says that a value follows.
_SUM_THEN_COUNT = struct.Struct("<BdB").pack
_MEAN_THEN_M2 = struct.Struct("<BdBd").pack
_FIVE_DOUBLES = struct.Struct("<B5dB").pack


def average(long_counts: bool) -> Aggregator:
    """AVERAGE; the IR is (sum, count)."""
    return Aggregator(
        ir_type=ir_record("AvgIr", ("sum", DOUBLE), ("count", LONG if long_counts else INT)),
        output_type=DOUBLE,
        prepare=expression("value, ts_ms", "(float(value), 1)"),
        update=expression("ir, value, ts_ms", "(ir[0] + value, ir[1] + 1)"),
        merge=lambda a, b: (a[0] + b[0], a[1] + b[1]),
        merge_all=_merge_averages,
        fork=same,
        encode=expression(
            "ir", "pack(2, ir[0], 2) + count(ir[1])", pack=_SUM_THEN_COUNT, count=encode_count
        ),
        finalize=lambda ir: _divided(*ir),
        delete=lambda ir, value, ts_ms: (ir[0] - value, ir[1] - 1),
    )


def _merge_averages(a: tuple[float, int], irs: list[tuple[float, int]]) -> tuple[float, int]:
    total, count = a
    for more, times in irs:
        total += more
        count += times
    return total, count


def variance(long_counts: bool) -> Aggregator:
    """VARIANCE of the population (Welford 1962); the IR is (count, mean, m2)."""
    count = LONG if long_counts else INT
    return Aggregator(
        ir_type=ir_record("VarianceIr", ("count", count), ("mean", DOUBLE), ("m2", DOUBLE)),
        output_type=DOUBLE,
        # The same steps as an update of (0, 0.0, 0.0).
        prepare=expression("value, ts_ms", _WELFORD_OF_ONE),
        update=expression("ir, value, ts_ms", _WELFORD),
        merge=_merge_welford,
        fork=same,
        encode=expression(
            "ir",
            "PRESENT + count(ir[0]) + pack(2, ir[1], 2, ir[2])",
            PRESENT=PRESENT,
            count=encode_count,
            pack=_MEAN_THEN_M2,
        ),
        finalize=lambda ir: ir[2] / ir[0] if ir[0] else math.nan,
    )


_WELFORD_OF_ONE = "(1, mean := 0.0 + value, 0.0 + value * (value - mean))"
_WELFORD = (
    "(n := ir[0] + 1, mean := ir[1] + (delta := value - ir[1]) / n, ir[2] + delta * (value - mean))"
)


def _merge_welford(a: Variance, b: Variance) -> Variance:
    count = a[0] + b[0]
    if not count:
        return a
    delta = b[1] - a[1]
    m2 = a[2] + b[2] + (delta * (delta / count) * a[0] * b[0])
    return count, _combined_mean(float(a[0]), a[1], float(b[0]), b[1]), m2


def _combined_mean(n: float, mean_n: float, k: float, mean_k: float) -> float:
    if n < k:
        return _combined_mean(k, mean_k, n, mean_n)
    total = n + k
    if total in (0.0, n):
        return mean_n if total else 0.0
    scaling = k / total
    # Where one part is small, its step from the other mean is more exact than the weighted sum.
    if scaling < 0.1:
        return mean_n + (mean_k - mean_n) * scaling
    return (n * mean_n + k * mean_k) / total


def skew() -> Aggregator:
    """SKEW; null below three values or without spread."""
    return _moments(_skew)


def kurtosis() -> Aggregator:
    """KURTOSIS in excess of the normal's; null below four values or without spread."""
    return _moments(_kurtosis)


def _moments(finalize: Callable[[Moments], float]) -> Aggregator:
    ir_type = list_of(DOUBLE)
    return Aggregator(
        ir_type=ir_type,
        output_type=DOUBLE,
        prepare=lambda value, ts_ms: _add_moment((0.0, 0.0, 0.0, 0.0, 0.0), value, ts_ms),
        update=_add_moment,
        merge=_merge_moments,
        encode=lambda ir: _FIVE_DOUBLES(10, *ir, 0),
        finalize=finalize,
        from_avro=tuple,
        fork=same,
    )


def _add_moment(ir: Moments, value: float, ts_ms: int) -> Moments:
    n1, m1, m2, m3, m4 = ir
    n = n1 + 1
    delta = value - m1
    delta_n = delta / n
    delta_n2 = delta_n * delta_n
    term1 = delta * delta_n * n1
    new_m4 = m4 + term1 * delta_n2 * (n * n - 3 * n + 3) + 6 * delta_n2 * m2 - 4 * delta_n * m3
    new_m3 = m3 + term1 * delta_n * (n - 2) - 3 * delta_n * m2
    return n, m1 + delta_n, m2 + term1, new_m3, new_m4


def _merge_moments(a: Moments, b: Moments) -> Moments:
    """Chan et al. 1979, extended to the fourth moment (Pébay 2008)."""
    an, a1, a2, a3, a4 = a
    bn, b1, b2, b3, b4 = b
    n = an + bn
    delta = b1 - a1
    delta2 = delta * delta
    m3 = (
        a3 + b3 + delta * delta2 * an * bn * (an - bn) / (n * n)
        + 3.0 * delta * (an * b2 - bn * a2) / n
    )  # fmt: skip
    m4 = (
        a4 + b4 + delta2 * delta2 * an * bn * (an * an - an * bn + bn * bn) / (n * n * n)
        + 6.0 * delta2 * (an * an * b2 + bn * bn * a2) / (n * n)
        + 4.0 * delta * (an * b3 - bn * a3) / n
    )  # fmt: skip
    return n, (an * a1 + bn * b1) / n, a2 + b2 + delta2 * an * bn / n, m3, m4


def _skew(ir: Moments) -> float:
    n, _, m2, m3, _ = ir
    if n < 3 or m2 == 0:
        return math.nan
    return _divided(math.sqrt(n) * m3, m2**1.5 if abs(m2) < 1e200 else math.inf)


def _kurtosis(ir: Moments) -> float:
    n, _, m2, _, m4 = ir
    return math.nan if n < 4 or m2 == 0 else _divided(n * m4, m2 * m2) - 3


def _divided(a: float, b: float) -> float:
    """`a / b` as the JVM divides: division by zero gives an infinity or NaN and no error."""
    if b:
        return a / b
    return math.nan if a == 0 or a != a else math.copysign(math.inf, a)


_ROUNDS = "exact, but sums of doubles round"

OPERATIONS = {
    Operation.AVERAGE: OperationSpec(
        with_decimals_as_doubles(lambda request: average(request.dialect.long_counts)),
        "mean",
        _ROUNDS,
        inputs=NUMBERS,
        decimals=True,
    ),
    Operation.VARIANCE: OperationSpec(
        with_decimals_as_doubles(lambda request: variance(request.dialect.long_counts)),
        "variance of the population",
        _ROUNDS,
        inputs=NUMBERS,
        decimals=True,
    ),
    Operation.SKEW: OperationSpec(
        with_decimals_as_doubles(lambda request: skew()),
        "skewness; null below 3 values or without spread",
        _ROUNDS,
        inputs=NUMBERS,
        decimals=True,
    ),
    Operation.KURTOSIS: OperationSpec(
        with_decimals_as_doubles(lambda request: kurtosis()),
        "excess kurtosis; null below 4 values or without spread",
        _ROUNDS,
        inputs=NUMBERS,
        decimals=True,
    ),
}
