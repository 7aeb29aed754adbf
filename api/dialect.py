"""The two Chronons: everything that differs between airbnb/chronon and zipline-ai/chronon.

The dialect is always said, never guessed: the same conf can mean different things in the two.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

FIVE_MINUTES_MS = 5 * 60 * 1000
HOUR_MS = 60 * 60 * 1000
DAY_MS = 24 * HOUR_MS


class Operation(Enum):
    """Chronon's aggregations, by name; the ids of a compiled conf depend on the dialect.

    The k operations are called with their k, as in Chronon's Python API: `Operation.LAST_K(5)`.
    Names that end with `_K` or `_LGK` and are no operations of their own are called as well.
    """

    MIN = "min"
    MAX = "max"
    FIRST = "first"
    LAST = "last"
    UNIQUE_COUNT = "unique_count"
    APPROX_UNIQUE_COUNT = "approx_unique_count"
    COUNT = "count"
    SUM = "sum"
    AVERAGE = "average"
    VARIANCE = "variance"
    SKEW = "skew"
    KURTOSIS = "kurtosis"
    APPROX_PERCENTILE = "approx_percentile"
    LAST_K = "last_k"
    FIRST_K = "first_k"
    TOP_K = "top_k"
    BOTTOM_K = "bottom_k"
    HISTOGRAM = "histogram"
    APPROX_HISTOGRAM_K = "approx_histogram_k"
    BOUNDED_UNIQUE_COUNT = "bounded_unique_count"
    APPROX_FREQUENT_K = "approx_frequent_k"
    APPROX_HEAVY_HITTERS_K = "approx_heavy_hitters_k"
    UNIQUE_TOP_K = "unique_top_k"

    def __call__(self, *values: Any, **named: Any) -> "tuple[Operation, Arguments]":
        """The operation with its arguments, as text.

        `APPROX_PERCENTILE` is called with percentiles, and with k by name; its k depends on the
        dialect when it is not given. All others are called with k.

        >>> Operation.LAST_K(5)
        (<Operation.LAST_K: 'last_k'>, {'k': '5'})
        """
        percentile = self is Operation.APPROX_PERCENTILE
        first = "percentiles" if percentile else "k"
        if len(values) > 1 or (values and first in named) or not (values or first in named):
            raise TypeError(f"Operation.{self.name} is called with one value, {first}")
        given = {**dict(zip((first,), values, strict=False)), **named}
        arguments: Arguments = {name: str(value) for name, value in given.items()}
        return self, {"k": None, **arguments} if percentile else arguments

    @staticmethod
    def APPROX_UNIQUE_COUNT_LGK(k: int) -> "tuple[Operation, Arguments]":
        """The approximate count of a sketch that keeps 2 to the power of `k` values."""
        return Operation.APPROX_UNIQUE_COUNT(k)

    @staticmethod
    def HISTOGRAM_K(k: int) -> "tuple[Operation, Arguments]":
        """The histogram of the `k` most frequent values, as airbnb calls it."""
        return Operation.HISTOGRAM(k)

    @staticmethod
    def FREQUENT_K(k: int) -> "tuple[Operation, Arguments]":
        """The histogram of the `k` most frequent values, as zipline calls it."""
        return Operation.HISTOGRAM(k)

    @staticmethod
    def BOUNDED_UNIQUE_COUNT_K(k: int) -> "tuple[Operation, Arguments]":
        """The count of at most `k` distinct values."""
        return Operation.BOUNDED_UNIQUE_COUNT(k)


Arguments = dict[str, str | None]
"""An operation's arguments; None stands for what the dialect chooses."""


class OnlineStrategy(Enum):
    """How zipline writes what it serves; streams of this project are `DEFAULT`."""

    DEFAULT = 0
    STREAMING_MEGATILES = 1
    PUSH = 2


class TimeUnit(Enum):
    """Units of a window's length; minutes exist in zipline only."""

    HOURS = "h"
    DAYS = "d"
    MINUTES = "m"

    @property
    def millis(self) -> int:
        """Length of one unit."""
        return {"h": HOUR_MS, "d": DAY_MS, "m": 60_000}[self.value]


_SHARED_OPERATIONS = tuple(Operation)[:18]


class AvroNames:
    """Names of Avro records and fields, as one schema is walked from its root.

    Chronon names every record; Avro wants names unique in a schema. The two dialects differ in
    how they make them so, and readers look fields up by these names.
    """

    _REPEATED = "_REPEATED_NAME_"

    def __init__(self, prefix_by_path: bool) -> None:
        self._prefix_by_path = prefix_by_path
        self._taken: set[str] = set()

    def record(self, name: str, path: tuple[str, ...]) -> str:
        """The name of a record that stands at the field `path`."""
        if self._prefix_by_path:
            return "_".join((*path, name))
        return self._unique(name)

    def field(self, name: str) -> str:
        """The name of a field."""
        return name if self._prefix_by_path else self._unique(name)

    def _unique(self, name: str) -> str:
        clean = re.sub(r"[^0-9a-zA-Z_]", "_", name)
        candidate, repeats = clean, 0
        while candidate in self._taken:
            candidate = f"{clean}{self._REPEATED}{repeats}"
            repeats += 1
        self._taken.add(candidate)
        return candidate


@dataclass(frozen=True)
class Dialect:
    """What one Chronon does differently from the other.

    Attributes:
        operations: operation by its id in a compiled conf.
        time_units: time unit by its id in a compiled conf.
        unwindowed_tile_ms: tile size of a GroupBy without windows; None: it cannot be tiled.
        long_counts: AVERAGE and VARIANCE declare `count` as long, not int (same bytes).
        drops_null_time: events whose time is null are filtered; otherwise they are failures.
        percentile_k: the size of a percentile's sketch that the Python API chooses.
        inclusive_ranks: a percentile's value counts into its own rank (DataSketches from 4.0 on).
        element_wise: lists can be aggregated element by element.
        decimals: columns can be decimals.
        tile_keys: a put's key is a Thrift TileKey around the entity's key.
        numbers_names: of several Avro fields with one name all but the first are numbered
            (`_REPEATED_NAME_0`); otherwise there cannot be several.
        short_names: a join names the columns of a part by the keys of its GroupBy, unless long
            names are asked for, which leave out a version `__v1`; otherwise by its whole name.
        date_format: of the batch's end in a GroupBy's serving info, which names it; None where it
            does not.
        names: makes the naming rule for one Avro schema.
    """

    name: str
    operations: dict[int, Operation]
    time_units: dict[int, TimeUnit]
    unwindowed_tile_ms: int | None
    long_counts: bool
    drops_null_time: bool
    percentile_k: int
    inclusive_ranks: bool
    element_wise: bool
    decimals: bool
    tile_keys: bool
    numbers_names: bool
    short_names: bool
    date_format: str | None
    names: Callable[[], AvroNames]

    def __reduce__(self) -> "str | tuple[object, ...]":
        return dialect, (self.name,)

    def __hash__(self) -> int:
        return hash(self.name)


AIRBNB = Dialect(
    name="airbnb",
    operations={
        **dict(enumerate(_SHARED_OPERATIONS)),
        18: Operation.APPROX_HISTOGRAM_K,
        19: Operation.BOUNDED_UNIQUE_COUNT,
    },
    time_units={0: TimeUnit.HOURS, 1: TimeUnit.DAYS},
    unwindowed_tile_ms=None,
    long_counts=False,
    drops_null_time=False,
    percentile_k=128,
    inclusive_ranks=False,
    element_wise=True,
    decimals=False,
    tile_keys=False,
    numbers_names=True,
    short_names=False,
    date_format=None,
    names=lambda: AvroNames(prefix_by_path=False),
)

ZIPLINE = Dialect(
    name="zipline",
    operations={
        **dict(enumerate(_SHARED_OPERATIONS)),
        18: Operation.APPROX_FREQUENT_K,
        19: Operation.APPROX_HEAVY_HITTERS_K,
        20: Operation.UNIQUE_TOP_K,
    },
    time_units={0: TimeUnit.HOURS, 1: TimeUnit.DAYS, 2: TimeUnit.MINUTES},
    unwindowed_tile_ms=DAY_MS,
    long_counts=True,
    drops_null_time=True,
    percentile_k=20,
    inclusive_ranks=True,
    element_wise=False,
    decimals=True,
    tile_keys=True,
    numbers_names=False,
    short_names=True,
    date_format="yyyy-MM-dd",
    names=lambda: AvroNames(prefix_by_path=True),
)

DIALECTS = {known.name: known for known in (AIRBNB, ZIPLINE)}


def dialect(name: str) -> Dialect:
    """The dialect called `name`; raises ValueError for any other name."""
    if name not in DIALECTS:
        raise ValueError(f"unknown dialect {name!r}: choose one of {', '.join(DIALECTS)}")
    return DIALECTS[name]


def clashing_ids() -> dict[int, tuple[Operation | None, Operation | None]]:
    """Operation ids that mean different things in airbnb and zipline."""
    ids = sorted(AIRBNB.operations.keys() | ZIPLINE.operations.keys())
    pairs = {i: (AIRBNB.operations.get(i), ZIPLINE.operations.get(i)) for i in ids}
    return {i: pair for i, pair in pairs.items() if pair[0] != pair[1]}
