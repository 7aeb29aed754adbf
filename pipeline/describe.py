"""What `chronon-beam plan` says: what a GroupBy becomes, and what to consider before it runs.

The records are what `plan --json` prints, field by field.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from chronon_beam.aggregator.layout import LAYOUTS, TileSpec, span, tile_specs
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.dialect import DAY_MS, HOUR_MS, ZIPLINE, Operation, clashing_ids
from chronon_beam.api.group_by import GroupBy, GroupByError, Source
from chronon_beam.pipeline.takeover import KeptData


class DeclaredSource(Struct, frozen=True):
    """One of the sources that a GroupBy declares.

    Attributes:
        used: whether this is the source whose events are read.
    """

    kind: str
    table: str | None
    topic: str | None
    used: bool


class TileLength(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The length of Chronon's tiles of a GroupBy.

    Attributes:
        size: the length for people; None if the GroupBy cannot have tiles.
        why: what forces this length, or why there can be no tiles.
    """

    size: str | None
    size_ms: int | None = None
    why: str


class LayoutCost(Struct, frozen=True):
    """What a layout of tiles costs.

    Attributes:
        tiles: the kinds of tiles, each as its length and the time from one to the next.
        writes_an_event: how many tiles an event is in.
        tiles_read_a_request: the most tiles that a request for one key reads; None for all.
    """

    tiles: list[str]
    writes_an_event: int
    tiles_read_a_request: int | None


class Schemas(Struct, frozen=True):
    """The types of a GroupBy's columns by their names, and its Avro schemas."""

    columns: dict[str, str]
    key: Any
    tile: Any
    row: Any


class Description(Struct, frozen=True, kw_only=True):
    """What `plan` says of a GroupBy.

    Attributes:
        chronons_fetcher: what Chronon's own Fetcher does with its tiles.
        layouts: what each layout costs, by its name; None for one that the GroupBy cannot have.
        row_layout: what identifies a tile in a store, by the kind of store.
        closing: what closes tiles; None if no source is given.
        store: what becomes of the data in the store; None if no store or no source is given.
        schemas: None if no source is given.
    """

    name: str
    dialect: str
    keys: list[str]
    dataset: str
    sources: list[DeclaredSource]
    chronons_fetcher: str
    features: list[str]
    tile_columns: list[str]
    tile: TileLength
    layouts: dict[str, LayoutCost | None]
    row_layout: dict[str, str]
    closing: str | None = None
    store: KeptData | None = None
    schemas: Schemas | None
    warnings: list[str]


def describe(group_by: GroupBy, plan: Plan | None) -> Description:
    """What the command `plan` says of a GroupBy; schemas only if there is a `plan`."""
    return Description(
        name=group_by.name,
        dialect=group_by.dialect.name,
        keys=list(group_by.keys),
        dataset=group_by.streaming_dataset,
        sources=[_source(group_by, source) for source in group_by.sources],
        chronons_fetcher=_chronons_fetcher(group_by),
        features=[feature.name for feature in group_by.features],
        tile_columns=[part.column for part in group_by.tile_parts],
        tile=_tile(group_by),
        layouts={layout: _layout(group_by, layout) for layout in LAYOUTS},
        row_layout=_row_layout(group_by),
        schemas=_schemas(plan) if plan else None,
        warnings=warnings(group_by),
    )


def _source(group_by: GroupBy, source: Source) -> DeclaredSource:
    used = source is group_by.source
    return DeclaredSource(source.kind, source.table, source.topic, used)


def _chronons_fetcher(group_by: GroupBy) -> str:
    """What Chronon's own Fetcher does with the tiles of this GroupBy."""
    if group_by.dialect is ZIPLINE:
        return "reads tiles where the flag store of its Api sets TILING_ENABLED"
    if group_by.enables_tiling:
        return "reads tiles: enable_tiling is set"
    return "takes tiles for rows: declare enable_tiling=True, or run with --tiling=untiled"


def _tile(group_by: GroupBy) -> TileLength:
    try:
        size_ms = group_by.tile_size_ms
    except GroupByError as error:
        return TileLength(size=None, why=str(error))
    forcing = [window for window in group_by.windows if window.hop_ms == size_ms]
    why = (
        f"window {forcing[0].suffix[1:]} has the smallest tail hop"
        if forcing
        else f"there are no windows; dialect {group_by.dialect.name} takes a day"
    )
    return TileLength(size=duration(size_ms), size_ms=size_ms, why=why)


def _layout(group_by: GroupBy, layout: str) -> LayoutCost | None:
    try:
        specs = tile_specs(group_by, layout)
    except GroupByError:
        return None
    writes = sum(spec.tiles_per_event for spec in specs)
    return LayoutCost([_spec(spec) for spec in specs], writes, reads(group_by, specs))


def _spec(spec: TileSpec) -> str:
    return f"{duration(spec.size_ms)} every {duration(spec.period_ms)}"


def reads(group_by: GroupBy, specs: tuple[TileSpec, ...]) -> int | None:
    """The most tiles that a request for one key reads; None if an unbounded feature reads all."""
    by_size: dict[int, int] = {}
    for feature in group_by.features:
        window = feature.part.window
        if window is None:
            return None
        spec = span(feature, specs, 0).spec
        # If tiles do not overlap, the tail of a window may be up to a hop earlier.
        length_ms = window.millis + window.hop_ms if spec.tiles_per_event == 1 else spec.period_ms
        tiles = length_ms // spec.period_ms
        by_size[spec.size_ms] = max(by_size.get(spec.size_ms, 0), tiles)
    return sum(by_size.values())


def _row_layout(group_by: GroupBy) -> dict[str, str]:
    return {
        "sqlite": "dataset, key bytes, tile size, tile start -> tile",
        "bigtable": f"{group_by.streaming_dataset}#<key bytes>#<day start ms>#<tile size ms>, "
        "family cf, qualifier value, cell timestamp = tile start",
    }


def _schemas(plan: Plan) -> Schemas:
    columns = {name: kind.name for name, kind in plan.types.items()}
    return Schemas(columns, plan.keys.schema, plan.tiles.schema, plan.rows.schema)


def warnings(group_by: GroupBy) -> list[str]:
    """What a careful reader of the GroupBy would point out."""
    found = []
    clashing = {operation for pair in clashing_ids().values() for operation in pair}
    for part in group_by.tile_parts:
        if part.operation in clashing:
            found.append(
                f"{part.column}: the id of {part.operation.name} means another operation in the "
                f"other dialect: make sure that {group_by.dialect.name} compiled this GroupBy"
            )
        if part.operation in (Operation.UNIQUE_COUNT, Operation.HISTOGRAM):
            found.append(
                f"{part.column}: {part.operation.name} keeps every distinct value: tiles grow "
                "with their number"
            )
    if any(feature.part.window is None for feature in group_by.features) and group_by.windows:
        found.append("an unbounded feature reads every tile of its key that was ever written")
    sizes = {window.hop_ms for window in group_by.windows}
    if len(sizes) > 1 and reads(group_by, tile_specs(group_by, "tumbling")) is not None:
        shortest, longest = group_by.windows[0], group_by.windows[-1]
        found.append(
            f"window {shortest.suffix[1:]} forces {duration(min(sizes))} tiles on window "
            f"{longest.suffix[1:]}: declare them in two GroupBys to read fewer tiles"
        )
    if group_by.source.query.time_column is None:
        found.append("the query has no time column: events must have a column ts, in milliseconds")
    return found


def duration(ms: int) -> str:
    """A length of time for people: `5 min`, `6 h`, `1 d`.

    >>> duration(300_000), duration(21_900_000)
    ('5 min', '365 min')
    """
    for unit_ms, unit in ((DAY_MS, "d"), (HOUR_MS, "h"), (60_000, "min"), (1000, "s")):
        if ms % unit_ms == 0:
            return f"{ms // unit_ms} {unit}"
    return f"{ms} ms"


def as_text(found: Description) -> str:
    """A description as text for people."""
    lines = [
        f"{found.name}  (dialect {found.dialect})",
        f"  keys      {', '.join(found.keys)}",
        f"  features  {', '.join(found.features)}",
        f"  dataset   {found.dataset}",
        f"  tile      {found.tile.size or 'none'}: {found.tile.why}",
        f"  columns   {', '.join(found.tile_columns)}",
    ]
    lines += _sources_as_text(found.sources)
    lines += [_layout_as_text(name, each) for name, each in found.layouts.items() if each]
    lines += [f"  row in {store:<9} {text}" for store, text in found.row_layout.items()]
    lines.append(f"  Chronon's Fetcher {found.chronons_fetcher}")
    if found.closing:
        lines.append(f"  closing   {found.closing}")
    if found.store:
        lines += [f"  store     {line}" for line in found.store.lines()]
    lines += _schemas_as_text(found.schemas)
    lines += [f"  warning: {warning}" for warning in found.warnings]
    return "\n".join(lines)


def _schemas_as_text(schemas: Schemas | None) -> list[str]:
    if schemas is None:
        return [
            "  schemas   add --source to see the types and Avro schemas, and with --store what "
            "becomes of the features that are there"
        ]
    columns = ", ".join(f"{name} {kind}" for name, kind in schemas.columns.items())
    avro: Mapping[str, Any] = {"key": schemas.key, "tile": schemas.tile, "row": schemas.row}
    texts = [f"  {name} schema  {json.dumps(schema)}" for name, schema in avro.items()]
    return [f"  types     {columns}", *texts]


def _layout_as_text(name: str, layout: LayoutCost) -> str:
    reading = layout.tiles_read_a_request or "all"
    return (
        f"  --layout={name:<9} {'; '.join(layout.tiles)}: "
        f"{layout.writes_an_event} writes per event, {reading} tiles per request"
    )


def _sources_as_text(sources: Sequence[DeclaredSource]) -> list[str]:
    """Which of several sources is streamed: the first with a topic, else the first."""
    if len(sources) == 1:
        return []
    why = "the first with a topic" if any(each.topic for each in sources) else "the first"
    names = [each.topic or each.table or each.kind for each in sources]
    return [
        f"  source {number}  {name}" + (f": its events are read, as {why}" if each.used else "")
        for number, (name, each) in enumerate(zip(names, sources, strict=True), start=1)
    ]
