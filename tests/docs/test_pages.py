"""README and docs: everything that a reader can type in works as it stands."""

import re
import shutil
from itertools import takewhile
from pathlib import Path

import pytest
from pages import NEEDS, Block, Reader, blocks, commands

from chronon_beam.pipeline import cli
from chronon_beam.pipeline.runners import beam_flags

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*/*.md")]
BLOCKS = [block for page in PAGES for block in blocks(page)]
NOT_RUN = [block for block in BLOCKS if block.named("needs")]


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    return Reader(tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_works_from_the_top_to_the_end(reader: Reader, page: Path) -> None:
    for block in blocks(page):
        reader.read(block)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.where)
def test_block_says_what_it_is(block: Block) -> None:
    assert block.language, f"{block.where}: say what it is after the fence: see tests/docs/pages.py"
    needs = block.named("needs")
    assert needs is None or needs in NEEDS
    if block.language not in ("sh", "python"):
        assert "chronon-beam " not in block.text.split("\n")[0], "a command is ```sh"


@pytest.mark.parametrize("block", NOT_RUN, ids=lambda block: block.where)
def test_command_that_is_not_run_here_has_flags_that_exist(
    block: Block, capsys: pytest.CaptureFixture[str]
) -> None:
    of_beam = beam_flags.known("FlinkRunner")
    for command, *words in commands(block.text):
        kind = takewhile(lambda word: not word.startswith("--"), words)
        with pytest.raises(SystemExit):
            cli.main([command, *kind, "--help"])
        of_command = re.findall(r"--\w+", capsys.readouterr().out)
        for word in words:
            flag = word.partition("=")[0]
            assert not word.startswith("--") or flag in {*of_command, *of_beam}, flag
