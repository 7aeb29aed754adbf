"""Flat blobs: what goes in comes out, and damage is said."""

import os
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.aggregator.flat_blob import pack_table, unpack_table

rows = st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.binary(), st.binary()))


@given(rows)
def test_columns_come_back(rows: list[tuple[int, bytes, bytes]]) -> None:
    numbers, keys, values = ([row[at] for row in rows] for at in range(3))
    blob = pack_table(3, [numbers], [keys, values])
    assert unpack_table(blob, 3, integers=1, values=2) == ([numbers], [keys, values])


def test_layout_is_fixed() -> None:
    assert pack_table(2, [[-1, 258]], [[b"a", b"bcd"]]).hex(" ", -4) == (
        "02020000 00ffffff ffffffff ff020100 00000000 00010000 00030000 00616263 64"
    )


@given(rows, st.data())
def test_damage_is_said(rows: list[tuple[int, bytes, bytes]], data: Any) -> None:
    blob = pack_table(3, [[row[0] for row in rows]], [[row[1] for row in rows]])
    with pytest.raises(ValueError, match="damaged state|state of version 0"):
        unpack_table(blob[: data.draw(st.integers(0, len(blob) - 1))], 3, integers=1, values=1)
    with pytest.raises(ValueError, match="state of version 3: this code reads version 4"):
        unpack_table(blob, 4, integers=1, values=1)


def test_a_pickle_is_not_run(tmp_path: Any) -> None:
    class Harm:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "harm"),)

    with pytest.raises(ValueError, match="version"):
        unpack_table(pickle.dumps(Harm()), 1, integers=1, values=2)
    assert not (tmp_path / "harm").exists()
