"""The state of a (shard, window) as bytes."""

import pytest

from chronon_beam.api.records import Phase
from chronon_beam.transforms.tiling.state import VERSION, CellValue, LogBlob, TileColumns

CELL = CellValue(Phase.CLOSED, True, bytes(range(12)))


def test_cell_is_read_as_it_was_written() -> None:
    assert CellValue.unpack(CELL.pack()) == CELL


@pytest.mark.parametrize("state", [CELL, LogBlob(TileColumns([b"k"], [b"v"], [7]), bytes(8))])
def test_state_of_another_version_or_cut_short_is_refused(state: CellValue | LogBlob) -> None:
    read, blob = type(state).unpack, state.pack()
    with pytest.raises(ValueError, match=f"state of version 3: this code reads version {VERSION}"):
        read(b"\3" + blob[1:])
    with pytest.raises(ValueError, match="state of version 0"):
        read(b"")
    with pytest.raises(ValueError, match="damaged state"):
        read(blob[:-1])
