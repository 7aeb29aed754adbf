"""What README and docs/serving.md ask a feature server, which is started as they say.

The server has a free port instead of 8080, and `curl` is read here, since not every machine has it.
"""

import shlex
import shutil
from argparse import ArgumentParser
from contextlib import ExitStack, chdir
from pathlib import Path

import pytest
from pages import Block, Reader, blocks, steps
from served_process import ServedProcess, served

ROOT = Path(__file__).parents[2]
MAKE_RUN = """chronon-beam run --group_by examples/ice_cream/group_by.py \\
    --source file:examples/ice_cream/events.jsonl --store sqlite:features.db \\
    --dead_letters file:dead_letters.jsonl"""
BEFORE = {"README.md": MAKE_RUN, "docs/serving.md": ""}
"""What a reader of the pages has done before."""

BASE = "http://127.0.0.1:8080"
FORM = {"content-type": "application/x-www-form-urlencoded"}
"""What `curl -d` says of a body."""


class ServedReader:
    """Types in what a page does with a server."""

    def __init__(self, folder: Path, servers: ExitStack) -> None:
        self.reader = Reader(folder, frozenset(["server"]))
        self._servers = servers
        self._server: ServedProcess | None = None

    def read(self, block: Block) -> None:
        """Run the block's commands, or compare its text with the last answer."""
        if block.language != "sh":
            self.reader.read(block)
            return
        for step in steps(block.text):
            words = shlex.split(step)
            if words[0] == "curl":
                self._ask(words[1:])
            elif words[:2] == ["chronon-beam", "serve"]:
                self._serve(words[2:])
            else:
                self.reader.read(block._replace(text=step))

    def _serve(self, words: list[str]) -> None:
        flag, store, *flags, background = words
        assert (flag, background) == ("--store", "&")
        with chdir(self.reader.folder):
            self._server = self._servers.enter_context(served(store, *flags))

    def _ask(self, words: list[str]) -> None:
        assert self._server is not None, "the page starts no server"
        parser = ArgumentParser()
        parser.add_argument("-s", action="store_true")
        parser.add_argument("-d")
        parser.add_argument("url")
        asked = parser.parse_args(words)
        assert asked.url.startswith(BASE)
        path = asked.url.removeprefix(BASE)
        answer = self._server.client.post(path, content=asked.d, headers=FORM)
        assert answer.status_code == 200, answer.text
        self.reader.out = f"{answer.text}\n"


@pytest.mark.parametrize("page", BEFORE)
def test_answers_are_those_of_the_page(tmp_path: Path, page: str) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    with ExitStack() as servers:
        reader = ServedReader(tmp_path, servers)
        reader.read(Block(ROOT / page, 1, "sh", (), BEFORE[page]))
        for block in blocks(ROOT / page):
            if block.named("needs") == "server":
                reader.read(block)
