"""Rows as they cross the shuffle: what they hold, and which of them carry a promise."""

import itertools
import os
import pickle
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from declarations import group_by
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.aggregator.layout import TileSpec
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import Aggregation, Operation
from chronon_beam.api.data_types import LONG, STRING
from chronon_beam.transforms.rows import Rows
from chronon_beam.transforms.tiling.shards import Pane, ShardBatch, Splitter

SPEC = TileSpec(300, 100, frozenset((0,)))
LATENESS_MS = 50
PLAN = Plan(
    group_by("t.split", ["k"], [Aggregation("n", Operation.SUM)]),
    {"k": STRING, "n": LONG, "ts": LONG},
)

plain = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
)
strange = (
    st.decimals(allow_nan=False)
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(UTC))
    | st.timedeltas()
)


def nested(leaves: Any) -> Any:
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.tuples(inner, inner)
            | st.dictionaries(st.text(), inner, max_size=3)
        ),
        max_leaves=6,
    )


@given(st.lists(st.tuples(nested(plain), nested(plain | strange)), max_size=4))
def test_rows_come_back_whatever_they_hold(rows: list[Any]) -> None:
    batch = ShardBatch("topic/0", rows, [7] * len(rows))
    assert ShardBatch.unpack(batch.pack()) == batch


def test_types_come_back_as_they_were() -> None:
    values = (
        Decimal("1.10"),
        datetime(2020, 1, 2, tzinfo=UTC).date(),
        datetime(2020, 1, 2, 3, tzinfo=UTC),
        timedelta(days=-1),
    )
    ((*found,),) = ShardBatch.unpack(ShardBatch("s", [values], []).pack()).rows
    assert [(type(each), str(each)) for each in found] == [
        (type(each), str(each)) for each in values
    ]


def test_a_value_that_no_column_has_is_named() -> None:
    with pytest.raises(TypeError, match="cannot cross the shuffle: object"):
        ShardBatch("s", [(object(),)], []).pack()


def test_bytes_that_would_run_code_are_only_refused(tmp_path: Any) -> None:
    class Harm:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "harm"),)

    for first in (b"", b"\0", b"\1"):
        with pytest.raises((ValueError, EOFError, TypeError)):
            ShardBatch.unpack(first + pickle.dumps(Harm()))
    assert not (tmp_path / "harm").exists()


def splitter() -> Splitter:
    return Splitter(["k"], ["n"], PLAN.keys, 3, SPEC, LATENESS_MS, None)


def rows_of(log: list[tuple[int, int]], first: int) -> Rows:
    """Rows of (time, promise) pairs; the position counts from `first`."""
    times, promises = zip(*log, strict=True)
    batch = pa.RecordBatch.from_pydict(
        {"k": [f"k{t % 5}" for t in times], "n": list(times), "ts": pa.array(times, pa.int64())}
    )
    positions = list(range(first, first + len(log)))
    return Rows(batch, "topic/0", positions, pa.array(promises, pa.int64()))


logs = st.lists(st.tuples(st.integers(0, 999), st.integers(0, 50)), min_size=1, max_size=30).map(
    lambda pairs: list(
        zip([at for at, _ in pairs], itertools.accumulate(more for _, more in pairs), strict=True)
    )
)


@given(logs, st.lists(st.integers(0, 30)), st.booleans())
def test_borders_of_batches_change_no_promise_and_no_order(
    log: list[tuple[int, int]], borders: list[int], drains: bool
) -> None:
    cut = splitter()
    found: dict[Pane, list[Any]] = {}

    def take() -> None:
        for pane, batch in cut.drain():
            promises = batch.promised_ms or [None] * len(batch.rows)
            pairs = zip([row[2] for row in batch.rows], promises, strict=True)
            found.setdefault(pane, []).extend(pairs)

    for start, end in itertools.pairwise(
        sorted({0, *(b for b in borders if b < len(log)), len(log)})
    ):
        assert list(cut.add(rows_of(log[start:end], start))) == []
        if drains:
            take()
    take()
    for pane, pairs in found.items():
        assert pairs == sorted(pairs)
        for position, promised_ms in pairs:
            at_ms, promise_ms = log[position]
            late = promise_ms >= pane.start_ms + SPEC.period_ms - 1 + LATENESS_MS
            assert pane.start_ms == at_ms - at_ms % SPEC.period_ms
            assert (pane.may_be_late, promised_ms) == (late, promise_ms if late else None)
    assert sum(map(len, found.values())) == len(log)


def test_no_promise_is_kept_when_the_source_promises_nothing() -> None:
    cut = splitter()
    rows = rows_of([(1, 0), (999, 0), (2, 0)], 0)._replace(promised_ms=None)
    assert list(cut.add(rows)) == []
    assert {(pane.may_be_late, *batch.promised_ms) for pane, batch in cut.drain()} == {(False,)}
