"""docs/bigtable.md on Google's emulator."""

import shutil
from pathlib import Path

from pages import Reader, blocks

ROOT = Path(__file__).parents[2]


def test_page_works_from_the_top_to_the_end(bigtable: str, tmp_path: Path) -> None:
    assert bigtable
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    reader = Reader(tmp_path, frozenset({"bigtable"}))
    for block in blocks(ROOT / "docs" / "bigtable.md"):
        reader.read(block)
