"""The layouts of tiles: which tiles a GroupBy has, and which of them a query reads.

There are two layouts, which give the same features.

`tumbling` (Chronon's): one size, the smallest tail hop; a query merges the tiles of its window.

    6 h window, 5 min tiles   |--|--|--| ... |--|--|   72 or 73 tiles per read, 1 write per event

`sliding`: for a window w, tiles of size w + hop that start every hop. The tile that starts at
`floor(query - w, hop)` holds the events of the window, so a query reads one and merges nothing.

    6 h window, 5 min hop     |-----------------|      1 tile per read, 73 writes per event
                                |-----------------|
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

from chronon_beam.api.dialect import DAY_MS
from chronon_beam.api.group_by import Feature, GroupBy, Window
from chronon_beam.api.records import MIN_MS

LAYOUTS = ("tumbling", "sliding")


def floor_to(ts_ms: int, step_ms: int) -> int:
    """The last multiple of `step_ms` that is not after `ts_ms`, before the epoch too.

    >>> floor_to(-1, 5000)
    -5000
    """
    return ts_ms - ts_ms % step_ms


@dataclass(frozen=True)
class TileSpec:
    """One family of tiles.

    Attributes:
        size_ms: length of a tile.
        period_ms: distance between starts; divides `size_ms`.
        columns: the indices of the tile columns that are filled; the other columns stay null.
    """

    size_ms: int
    period_ms: int
    columns: frozenset[int]

    @property
    def tiles_per_event(self) -> int:
        """How many tiles an event is in."""
        return self.size_ms // self.period_ms


@dataclass(frozen=True)
class Span:
    """The tiles of one family that a feature reads: `start_ms <= tile start < end_ms`."""

    spec: TileSpec
    start_ms: int
    end_ms: int


def tile_specs(group_by: GroupBy, layout: str) -> tuple[TileSpec, ...]:
    """The families of tiles of a GroupBy.

    Raises:
        GroupByError: the GroupBy cannot be tiled.
        ValueError: no such layout.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"unknown layout {layout!r}: choose one of {', '.join(LAYOUTS)}")
    features = group_by.features
    if layout == "tumbling":
        size_ms = group_by.tile_size_ms
        return (TileSpec(size_ms, size_ms, _columns(features)),)
    # Windows of equal length share tiles: a store tells families apart by the tiles' size.
    by_length = {window.millis: window for window in group_by.windows}
    specs = [
        TileSpec(
            window.millis + window.hop_ms,
            window.hop_ms,
            _columns(f for f in features if f.part.window and f.part.window.millis == length_ms),
        )
        for length_ms, window in by_length.items()
    ]
    unbounded = _columns(feature for feature in features if feature.part.window is None)
    if unbounded:
        taken = {spec.size_ms for spec in specs}
        size_ms = next(size for size in count(DAY_MS, DAY_MS) if size not in taken)
        specs.append(TileSpec(size_ms, size_ms, unbounded))
    return tuple(specs)


def _columns(features: Iterable[Feature]) -> frozenset[int]:
    return frozenset(feature.tile_index for feature in features)


def span(feature: Feature, specs: tuple[TileSpec, ...], query_ms: int) -> Span:
    """The tiles that hold a feature at `query_ms`."""
    window = feature.part.window
    if len(specs) == 1 and specs[0].size_ms == specs[0].period_ms:
        return Span(specs[0], tail_ms(window, query_ms), query_ms)
    if window is None:
        return Span(specs[-1], MIN_MS, query_ms)
    start_ms = tail_ms(window, query_ms)
    spec = next(s for s in specs if s.size_ms == window.millis + window.hop_ms)
    return Span(spec, start_ms, start_ms + 1)


def tail_ms(window: Window | None, query_ms: int) -> int:
    """Where a window begins at `query_ms`: its tail jumps by hops (the sawtooth)."""
    if window is None:
        return MIN_MS
    return floor_to(query_ms - window.millis, window.hop_ms)
