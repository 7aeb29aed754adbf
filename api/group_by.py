"""What a user declares: GroupBy, Source, Query, Aggregation, Window, in Chronon's words.

Frozen records with Chronon's semantics on them (names, tile size, output columns). They are made
by the Python API (`chronon_beam.api`) or read from compiled Thrift JSON (`thrift_json`).
Source: `ai.chronon.api.Extensions` and `ai.chronon.aggregator.windowing.ResolutionUtils`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property, lru_cache
from typing import Any

from chronon_beam.api.derivations import Derivation, projection
from chronon_beam.api.dialect import (
    AIRBNB,
    DAY_MS,
    FIVE_MINUTES_MS,
    HOUR_MS,
    Dialect,
    Operation,
    TimeUnit,
)

_K_OPERATIONS = {
    Operation.LAST_K: "last",
    Operation.FIRST_K: "first",
    Operation.TOP_K: "top",
    Operation.BOTTOM_K: "bottom",
    Operation.UNIQUE_TOP_K: "unique_top",
}


IS_BEFORE, MUTATION_TIME = "is_before", "mutation_ts"
"""Chronon's names of an entity's columns: whether a row is deleted, and when it changed."""


class GroupByError(ValueError):
    """A GroupBy or a join that cannot be run; the message names field, value and remedy."""


class Accuracy(Enum):
    """How fresh the features are; only TEMPORAL ones are computed from a stream."""

    TEMPORAL = 0
    SNAPSHOT = 1


@dataclass(frozen=True)
class Window:
    """A length of time that ends at the query. Parameter names are Chronon's.

    >>> Window(6, TimeUnit.HOURS).hop_ms // 60_000
    5
    """

    length: int
    timeUnit: TimeUnit

    @cached_property
    def millis(self) -> int:
        """Length in milliseconds."""
        return self.length * self.timeUnit.millis

    @property
    def suffix(self) -> str:
        """What a feature's name ends with, for example `_6h`."""
        return f"_{self.length}{self.timeUnit.value}"

    @cached_property
    def hop_ms(self) -> int:
        """How far the window's tail jumps (`FiveMinuteResolution.calculateTailHop`)."""
        if self.millis >= 12 * DAY_MS:
            return DAY_MS
        return HOUR_MS if self.millis >= 12 * HOUR_MS else FIVE_MINUTES_MS


@dataclass(frozen=True)
class AggregationPart:
    """One aggregation with at most one bucket and one window: one column.

    `window` is None when un-windowed: in tiles always, in features for unbounded ones.
    """

    input_column: str
    operation: Operation
    arguments: tuple[tuple[str, str], ...]
    window: Window | None
    bucket: str | None
    element_wise: bool

    def argument(self, name: str, default: int | None = None) -> int:
        """An int argument, such as k; raises GroupByError when it is missing or no int."""
        text = dict(self.arguments).get(name)
        if text is None and default is not None:
            return default
        if text is None or not re.fullmatch(r"-?\d+", text):
            raise GroupByError(
                f"{self.operation.name} over {self.input_column!r} needs an int argument "
                f"{name!r} in argMap, found {text!r}: add argMap={{{name!r}: '3'}}"
            )
        return int(text)

    @property
    def column(self) -> str:
        """Name of the column, for example `flavor_last_6h` or `d_sum_by_cat`."""
        short = _K_OPERATIONS.get(self.operation)
        suffix = f"{short}{self.argument('k')}" if short else self.operation.value
        window = self.window.suffix if self.window else ""
        bucket = f"_by_{self.bucket}" if self.bucket else ""
        return f"{self.input_column}_{suffix}{window}{bucket}"


@dataclass(frozen=True)
class Aggregation:
    """An operation over a column, for each window and each bucket.

    A window that is None is unbounded; so is everything without windows.
    """

    input_column: str
    operation: Operation
    windows: tuple[Window | None, ...] | None = None
    buckets: tuple[str, ...] | None = None
    arguments: tuple[tuple[str, str], ...] = ()
    element_wise: bool = False

    def _part(self, window: Window | None, bucket: str | None) -> AggregationPart:
        return AggregationPart(
            self.input_column, self.operation, self.arguments, window, bucket, self.element_wise
        )

    def tile_parts(self) -> Iterator[AggregationPart]:
        """One part per bucket, without windows: the columns of a tile."""
        for bucket in self.buckets or (None,):
            yield self._part(None, bucket)

    def feature_parts(self) -> Iterator[tuple[AggregationPart, int]]:
        """One part per bucket and window, with the index of its tile part: the features."""
        for index, bucket in enumerate(self.buckets or (None,)):
            for window in self.windows or (None,):
                yield self._part(window, bucket), index


@dataclass(frozen=True)
class Query:
    """Selects and filters of a source, in Spark SQL."""

    selects: tuple[tuple[str, str], ...] | None = None
    wheres: tuple[str, ...] = ()
    time_column: str | None = None
    setups: tuple[str, ...] = ()
    mutation_time_column: str | None = None
    reversal_column: str | None = None


@dataclass(frozen=True)
class Source:
    """Where rows come from; `kind` is `events`, `entities` or `joinSource`."""

    kind: str
    query: Query
    table: str | None = None
    topic: str | None = None


@dataclass(frozen=True)
class Feature:
    """A column that a user reads: a part with its window, over the tile column `tile_index`."""

    part: AggregationPart
    tile_index: int

    @property
    def name(self) -> str:
        """The feature's name, for example `customer_id_count_6h`."""
        return self.part.column


@lru_cache(maxsize=4096)
def _cleaned(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)


@dataclass(frozen=True)
class GroupBy:
    """Keys, sources and aggregations, in one dialect.

    Attributes:
        conf: the Thrift JSON that it was read from, with the fields that are not used here.
    """

    name: str
    sources: tuple[Source, ...]
    keys: tuple[str, ...]
    aggregations: tuple[Aggregation, ...]
    accuracy: Accuracy | None = None
    dialect: Dialect = AIRBNB
    derivations: tuple[Derivation, ...] = ()
    conf: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def named(self, name: str) -> "GroupBy":
        """The same GroupBy under another name."""
        return replace(self, name=name)

    def to_thrift(self) -> dict[str, Any]:
        """The Thrift JSON that it was read from, under the name that it has now."""
        return {**self.conf, "metaData": {**(self.conf.get("metaData") or {}), "name": self.name}}

    @property
    def clean_name(self) -> str:
        """The name with everything but letters, digits and `_` made `_`."""
        return _cleaned(self.name)

    @property
    def streaming_dataset(self) -> str:
        """The dataset that tiles and rows are written to, for example `DEMO_X_STREAMING`."""
        return f"{self.clean_name.upper()}_STREAMING"

    @property
    def batch_dataset(self) -> str:
        """The dataset that batch values are written to, for example `DEMO_X_BATCH`."""
        return f"{self.clean_name.upper()}_BATCH"

    @property
    def source(self) -> Source:
        """The source that is streamed: the first with a topic, else the first."""
        return next((source for source in self.sources if source.topic), self.sources[0])

    @property
    def enables_tiling(self) -> bool:
        """Whether airbnb's Fetcher takes what is streamed for tiles (`isTilingEnabled`)."""
        custom = json.loads(self.conf.get("metaData", {}).get("customJson") or "{}")
        return isinstance(custom, dict) and custom.get("enable_tiling") is True

    @property
    def is_lookup(self) -> bool:
        """Whether its features are the selected columns as they are, without aggregations."""
        return not self.aggregations

    @property
    def is_streamed(self) -> bool:
        """Whether its rows come one by one: events, or entities with mutations."""
        bodies = [source.get("entities") or {} for source in self.conf.get("sources", [])]
        mutations = any(b.get("mutationTable") or b.get("mutationTopic") for b in bodies)
        return mutations or any(source.kind == "events" for source in self.sources)

    @property
    def is_snapshot(self) -> bool:
        """Whether Chronon serves batch values alone (`inferredAccuracy`)."""
        if self.accuracy is None:
            return not any(source.topic for source in self.sources)
        return self.accuracy is Accuracy.SNAPSHOT

    @property
    def is_entities(self) -> bool:
        """Whether its source is one of entities, whose rows may be deleted again."""
        return self.source.kind == "entities"

    @property
    def tile_parts(self) -> tuple[AggregationPart, ...]:
        """The columns of a tile, in order."""
        return tuple(part for agg in self.aggregations for part in agg.tile_parts())

    @property
    def features(self) -> tuple[Feature, ...]:
        """The features, in Chronon's order."""
        features: list[Feature] = []
        offset = 0
        for aggregation in self.aggregations:
            parts = list(aggregation.feature_parts())
            features += [Feature(part, offset + index) for part, index in parts]
            offset += max(index for _, index in parts) + 1
        return tuple(features)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The names of the values that a reader gets: of features, or of derived features."""
        names = [feature.name for feature in self.features]
        if self.is_lookup:
            selected = self.source.query.selects or ()
            names = [name for name, _ in selected if name not in self.keys]
        return tuple(projection(self.derivations, names) if self.derivations else names)

    @property
    def aggregation_inputs(self) -> tuple[str, ...]:
        """Buckets and input columns in order, each once: the columns of an untiled row."""
        columns = [
            column
            for aggregation in self.aggregations
            for column in (*(aggregation.buckets or ()), aggregation.input_column)
        ]
        return tuple(dict.fromkeys(columns))

    @property
    def windows(self) -> tuple[Window, ...]:
        """All distinct windows, shortest first."""
        windows = (w for aggregation in self.aggregations for w in aggregation.windows or ())
        found = {window for window in windows if window is not None}
        return tuple(sorted(found, key=lambda window: window.millis))

    @property
    def tile_size_ms(self) -> int:
        """The smallest tail hop of all windows.

        Raises:
            GroupByError: no aggregation has a window, and the dialect has no tiles without windows.
        """
        if self.windows:
            return min(window.hop_ms for window in self.windows)
        if self.dialect.unwindowed_tile_ms is None:
            raise GroupByError(
                f"{self.name}: no aggregation has a window, and Chronon (dialect "
                f"{self.dialect.name}) cannot tile such a GroupBy: add windows, or run with "
                "--tiling=untiled, or use --dialect=zipline (1 day tiles)"
            )
        return self.dialect.unwindowed_tile_ms
