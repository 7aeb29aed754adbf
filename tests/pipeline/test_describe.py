"""What `plan` says of a GroupBy."""

import json
from dataclasses import replace
from typing import Any

import declarations
import pytest
from declarations import events, windows
from msgspec import to_builtins

from chronon_beam.aggregator.layout import span, tile_specs
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import (
    Aggregation,
    Operation,
)
from chronon_beam.api.data_types import DOUBLE, LONG, STRING
from chronon_beam.pipeline.describe import (
    LayoutCost,
    TileLength,
    as_text,
    describe,
    duration,
    reads,
    warnings,
)


def group_by(*aggregations: Any, dialect: str = "airbnb") -> Any:
    chosen = aggregations or [Aggregation("n", Operation.SUM, windows("6h"))]
    return declarations.group_by("t.described", ["user"], chosen, dialect=dialect)


def without_time(declared: Any) -> Any:
    """A compiled GroupBy may lack what a definition may not."""
    query = replace(declared.source.query, time_column=None)
    return replace(declared, sources=(replace(declared.source, query=query),))


def test_tile_is_explained_by_the_window_that_forces_it() -> None:
    described = describe(group_by(Aggregation("n", windows=windows("30d", "6h"))), None)
    why = "window 6h has the smallest tail hop"
    assert described.tile == TileLength(size="5 min", size_ms=300_000, why=why)
    assert described.dataset == "T_DESCRIBED_STREAMING"
    assert described.features == ["n_last_30d", "n_last_6h"]
    assert described.schemas is None


def test_layouts_say_what_they_cost() -> None:
    assert describe(group_by(), None).layouts == {
        "tumbling": LayoutCost(["5 min every 5 min"], writes_an_event=1, tiles_read_a_request=73),
        "sliding": LayoutCost(["365 min every 5 min"], writes_an_event=73, tiles_read_a_request=1),
    }


def test_without_windows_the_reason_and_the_remedy_are_said() -> None:
    unbounded = group_by(Aggregation("n"))
    described = describe(unbounded, None)
    assert described.tile.size is None
    assert "add windows, or run with --tiling=untiled" in described.tile.why
    assert described.layouts["tumbling"] is None
    assert describe(group_by(Aggregation("n"), dialect="zipline"), None).tile.size == "1 d"
    assert "  tile      none: " in as_text(described)


def test_request_reads_no_more_tiles_than_said() -> None:
    described = group_by(Aggregation("n", windows=windows("6h", "1d")))
    (spec,) = tile_specs(described, "tumbling")
    feature = described.features[1]
    spans = [span(feature, (spec,), query_ms) for query_ms in range(0, 86_400_000, 299_999)]
    most = max(len(range(read.start_ms, read.end_ms, spec.period_ms)) for read in spans)
    assert reads(described, (spec,)) == most == 24 * 12 + 12


def test_unbounded_feature_reads_all() -> None:
    described = group_by(Aggregation("n", windows=windows("6h")), Aggregation("n", Operation.MAX))
    assert reads(described, tile_specs(described, "tumbling")) is None
    assert "all tiles per request" in as_text(describe(described, None))


def test_schemas_are_shown_once_types_are_known() -> None:
    declared = group_by()
    plan = Plan(declared, {"user": STRING, "n": DOUBLE, "ts": LONG})
    described = describe(declared, plan)
    schemas = to_builtins(described)["schemas"]
    assert schemas["columns"] == {"user": "string", "n": "double", "ts": "long"}
    assert schemas["key"]["name"] == "Key"
    assert json.loads(json.dumps(schemas)) == schemas
    assert "  types     user string, n double, ts long" in as_text(described)
    lines = [line for line in as_text(described).splitlines() if " schema  " in line]
    shown = dict(line.split(" schema  ") for line in lines)
    assert {name.strip(): json.loads(text) for name, text in shown.items()} == {
        name: schemas[name] for name in ("key", "tile", "row")
    }
    assert "add --source to see the types" in as_text(describe(declared, None))


@pytest.mark.parametrize(
    ("declared", "warning"),
    [
        (without_time(group_by()), "the query has no time column: events must have a column ts"),
        (
            group_by(Aggregation("n", windows=windows("6h", "30d"))),
            "window 6h forces 5 min tiles on window 30d",
        ),
        (
            group_by(Aggregation("n", windows=windows("6h")), Aggregation("n", Operation.MAX)),
            "an unbounded feature reads every tile of its key",
        ),
        (
            group_by(Aggregation("n", Operation.UNIQUE_COUNT, windows("6h"))),
            "n_unique_count: UNIQUE_COUNT keeps every distinct value",
        ),
        (
            group_by(Aggregation("n", Operation.APPROX_HISTOGRAM_K(3), windows("6h"))),
            "make sure that airbnb compiled this GroupBy",
        ),
    ],
)
def test_careful_reader_is_warned(declared: Any, warning: str) -> None:
    assert any(warning in found for found in warnings(declared))
    assert f"  warning: {warnings(declared)[0]}" in as_text(describe(declared, None))


def test_plain_group_by_has_no_warnings() -> None:
    assert warnings(group_by()) == []


@pytest.mark.parametrize(
    ("ms", "text"),
    [(86_400_000, "1 d"), (3_600_000, "1 h"), (300_000, "5 min"), (7_000, "7 s"), (5, "5 ms")],
)
def test_duration_is_in_the_largest_whole_unit(ms: int, text: str) -> None:
    assert duration(ms) == text


def test_source_that_is_streamed_is_said_when_there_are_several() -> None:
    counts = [Aggregation("n")]

    def with_sources(*sources: Any) -> Any:
        return declarations.group_by("t.described", ["user"], counts, sources=list(sources))

    declared = with_sources(events(table="old"), events(table="new", topic="orders"))
    text = as_text(describe(declared, None))
    assert "  source 1  old\n" in text
    assert "  source 2  orders: its events are read, as the first with a topic\n" in text
    declared = with_sources(events(table="a"), events(table="b"))
    assert "  source 1  a: its events are read, as the first\n" in as_text(describe(declared, None))
    assert "source 1" not in as_text(describe(group_by(), None))


def test_what_chronons_own_fetcher_does_with_the_tiles_is_said() -> None:
    sums = [Aggregation("n", Operation.SUM)]
    tiled = declarations.group_by("t.described", ["user"], sums, enable_tiling=True)
    assert "Chronon's Fetcher reads tiles: enable_tiling is set" in as_text(describe(tiled, None))
    text = as_text(describe(group_by(), None))
    assert "Chronon's Fetcher takes tiles for rows: declare enable_tiling=True" in text
    text = as_text(describe(group_by(dialect="zipline"), None))
    assert "Chronon's Fetcher reads tiles where the flag store" in text
