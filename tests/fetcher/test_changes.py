"""What a job may change about a GroupBy whose data is in the store, and what is said of it."""

from dataclasses import replace
from typing import Any

import declarations
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.aggregator.avro import AvroError
from chronon_beam.aggregator.codecs import complete, is_complete, tag_of, version_of
from chronon_beam.aggregator.plan import Plan
from chronon_beam.aggregator.versions import MOST_VERSIONS
from chronon_beam.api import Aggregation, GroupByError, Operation
from chronon_beam.api.data_types import DOUBLE, LONG, STRING, list_of
from chronon_beam.fetcher.changes import FormerRuns, change_of, save
from chronon_beam.fetcher.serving_info import ServingInfo, load, write
from chronon_beam.io.kv_store import MemoryStore

TYPES = {"user": STRING, "n": DOUBLE, "m": LONG, "ts": LONG}
SIX, A_DAY = declarations.windows("6h"), declarations.windows("6h", "1d")
SUM, MAX = (Aggregation("n", each, SIX) for each in (Operation.SUM, Operation.MAX))
GOES_ON = FormerRuns(state=True, query=True)


def info(*aggregations: Any, shards: int = 4, tiled: bool = True, **query: Any) -> ServingInfo:
    columns = [name for name in ("user", "n", "m") if name not in query]
    source = declarations.events(*columns, **query)
    declared = declarations.group_by("t.changes", ["user"], aggregations or [SUM], sources=source)
    return ServingInfo(Plan(declared, TYPES), tiled, shards=shards)


@pytest.fixture
def store() -> MemoryStore:
    MemoryStore.forget("changes_noted")
    return MemoryStore("changes_noted")


def test_what_becomes_of_features_is_said(store: MemoryStore) -> None:
    save(store, info(SUM, MAX))
    count = Aggregation("m", Operation.COUNT)
    changed = change_of(store, info(Aggregation("n", Operation.SUM, A_DAY), count), GOES_ON)
    assert changed.notes() == [
        "n_sum_1d is new, over tiles that hold it already as far as they reach",
        "m_count is new: it counts from now on; an upload gives the rest",
        "no longer computed: n_max_6h",
    ]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (info(wheres=["n > 0"]), r"wheres \(\), this job would write \('n > 0',\)"),
        (info(time_column="m"), "time column ts, this job would write m"),
        (info(n="n * 2"), r"select n \(an input of aggregations that stay\) n, .* write n \* 2"),
        (info(user="lower(user)"), r"select user \(a key\) user"),
        (info(more="explode(m)"), r"select more \(which makes rows\)"),
        (info(shards=8), "--shards=8: the state of the savepoint is in 4 parts.*--shards=4"),
    ],
)
def test_a_query_that_makes_other_values_is_refused(
    store: MemoryStore, changed: ServingInfo, message: str
) -> None:
    save(store, info())
    with pytest.raises(GroupByError, match=message):
        save(store, changed, GOES_ON)


def test_steps_that_a_savepoint_does_not_have_are_refused(store: MemoryStore) -> None:
    save(store, info(SUM))
    types = {**TYPES, "m": list_of(DOUBLE)}
    listed = Aggregation("m", Operation.SUM, SIX, element_wise=True)
    wise = replace(info(SUM, listed), plan=Plan(info(SUM, listed).plan.group_by, types))
    with pytest.raises(GroupByError, match="that may refuse a row none, .* element by element"):
        save(store, wise, GOES_ON)


def test_selects_of_new_columns_may_be_added(store: MemoryStore) -> None:
    save(store, info())
    twice = info(SUM, Aggregation("m", Operation.MAX, SIX), m="m * 2", other="upper(user)")
    assert len(save(store, twice, GOES_ON).versions) == 2


def test_rows_serve_other_windows_and_operations_over_their_columns(store: MemoryStore) -> None:
    save(store, info(tiled=False))
    save(store, info(Aggregation("n", Operation.MAX, A_DAY), tiled=False), GOES_ON)
    with pytest.raises(GroupByError, match="rows of columns n double, this job .* m long"):
        save(store, info(Aggregation("m", Operation.MAX, A_DAY), tiled=False), GOES_ON)


def test_readers_may_have_some_of_the_columns_and_never_write_them(store: MemoryStore) -> None:
    save(store, info(SUM))
    both = save(store, info(MAX, SUM), GOES_ON).plan
    tile = both.tiles.encode([2.5, 1.5])
    for aggregations, irs in (([SUM], [1.5]), ([MAX], [2.5]), ([SUM, MAX], [1.5, 2.5])):
        found = load(store, info(*aggregations).plan.group_by).plan
        assert found.tiles.decode(tile) == (irs, False)
        with pytest.raises(ValueError, match="reads them and writes none"):
            found.tiles.encode(irs)


def test_tiles_of_each_version_are_read_as_what_they_are(store: MemoryStore) -> None:
    """A column that comes back begins anew: tiles in between lack it."""
    tiles = [
        save(store, info(*declared), GOES_ON).plan.tiles.encode(irs)
        for declared, irs in (([SUM, MAX], [1.5, 2.5]), ([SUM], [3.5]), ([MAX, SUM], [4.5, 5.5]))
    ]
    found = load(store, info(MAX, SUM).plan.group_by).plan.tiles
    assert [found.decode(tile)[0] for tile in tiles] == [[None, 1.5], [None, 3.5], [4.5, 5.5]]
    assert found.decode(found.upgraded([complete(tiles[0])])[0]) == ([None, 1.5], True)


def test_a_reader_from_before_the_change_refuses_the_new_tiles(store: MemoryStore) -> None:
    before = save(store, info(SUM)).plan
    tile = save(store, info(MAX, SUM), GOES_ON).plan.tiles.encode([2.5, 1.5])
    with pytest.raises(AvroError, match="the tile says 1; if the GroupBy has changed since"):
        before.tiles.decode(tile)


def test_a_savepoint_of_another_store_is_refused(store: MemoryStore) -> None:
    plan = save(store, info(SUM)).plan
    other = info(MAX).plan.tiles
    with pytest.raises(ValueError, match="taken by a job on another store"):
        plan.tiles.require_known(other.encode([1.0]), other.fingerprint)


def version_count(store: MemoryStore) -> int:
    return len(load(store, info().plan.group_by).versions)


def test_there_are_as_many_versions_as_a_byte_tells(store: MemoryStore) -> None:
    save(store, info(SUM, MAX))
    changed = save(store, info(MAX, SUM), GOES_ON)
    # As if the GroupBy had changed back and forth until one number was left.
    write(store, changed.with_versions((changed.versions * MOST_VERSIONS)[: MOST_VERSIONS - 1]))
    assert version_count(store) == MOST_VERSIONS - 1
    save(store, info(SUM, MAX), GOES_ON)
    assert version_count(store) == MOST_VERSIONS
    with pytest.raises(GroupByError, match="its tiles have changed 254 times already"):
        save(store, info(MAX, SUM), GOES_ON)


@given(st.integers(0, MOST_VERSIONS - 1), st.binary(min_size=1))
def test_a_tag_tells_the_version_and_hides_nothing(version: int, irs: bytes) -> None:
    tile = irs + b"\x02\x00" + tag_of(version)
    whole = irs + b"\x02\x01" + tag_of(version)
    assert (complete(tile), complete(whole)) == (whole, whole)
    assert (is_complete(tile), is_complete(whole)) == (False, True)
    assert version_of(tile) == version_of(whole) == version
    assert (tag_of(version) == b"") == (version == 0)
