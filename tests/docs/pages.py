"""The fenced blocks of a Markdown page, and a reader who types them in, from the top to the end.

The first word after a fence says what the block is; words after it say how it is run:

    ```sh                     commands: they run as they stand, and each must succeed
    ```python                 a program: it runs as it stands
    ```python file=NAME       the reader saves it as NAME; also for `json` and other languages
    ```text output            what the block before has printed on stdout
    ```text stderr            lines that the block before has printed on stderr, among others
    ```sh needs=cluster       not run here: NEEDS says what it wants, and who runs it
    ```text                   anything else: a figure, a formula

Commands and programs of a page share one folder, which holds nothing but a copy of `examples`.
`chronon-beam` runs in this process, where Spark is started once for all pages.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from chronon_beam.pipeline import cli

NEEDS = {
    "copy": "a copy of this repository: tests/docs/test_extending.py makes one",
    "checkout": "make: the script of CI runs it, on a clean clone",
    "browser": "a browser: tests/fetcher/inspector opens the page in one",
    "benchmark": "minutes of a quiet machine",
    "cluster": "a Flink cluster: tests/services starts one",
    "bigtable": "an instance of Bigtable: tests/services runs the same commands on an emulator",
    "kafka": "a Kafka broker: tests/services starts one",
    "docker": "Docker: tests/test_images.py and tests/pipeline/templates check what it is given",
    "prism": "the Prism binary",
    "pubsub": "a project of Google Cloud: tests/services has a server",
    "server": "a feature server at port 8080: test_served_pages.py has one on a free port",
    "release": "an installation from a package index",
}
"""What a block may want that a reader with this machine alone does not have."""

_FENCE = re.compile(r"^```(?P<info>[^`\n]*)\n(?P<text>.*?)^```$", re.M | re.S)
_SECONDS = re.compile(r"\b\d+(\.\d+)? s\b")


class Block(NamedTuple):
    """One fenced block of a page.

    Attributes:
        page: path of the page.
        line: where the block begins, counted from 1.
        language: the first word of the info string; empty if there is none.
        words: the words after it.
        text: what is between the fences.
    """

    page: Path
    line: int
    language: str
    words: tuple[str, ...]
    text: str

    @property
    def where(self) -> str:
        """For a message."""
        return f"{self.page.name}:{self.line}"

    def named(self, name: str) -> str | None:
        """VALUE of the word `name=VALUE`."""
        found = [word.partition("=")[2] for word in self.words if word.startswith(f"{name}=")]
        return found[0] if found else None


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, from the top."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        language, *words = found["info"].split() or [""]
        line = text.count("\n", 0, found.start()) + 1
        yield Block(page, line, language, tuple(words), found["text"])


def steps(script: str) -> Iterator[str]:
    """The commands of a script; one goes over several lines by `\\` or by a here-document.

    >>> list(steps("a \\\\\\n  b\\n# no command\\ncat <<END\\nx\\nEND\\n"))
    ['a   b', 'cat <<END\\nx\\nEND']
    """
    lines = iter(script.replace("\\\n", " ").splitlines())
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        opened = re.search(r"<<\s*'?(\w+)'?", line)
        document = [line]
        while opened and document[-1] != opened[1]:
            document.append(next(lines))
        yield "\n".join(document)


def commands(script: str) -> Iterator[list[str]]:
    """The words of each `chronon-beam` command of a script, without that first one."""
    for step in steps(script):
        words = shlex.split(step, comments=True) if "<<" not in step else []
        if words and Path(words[0]).name == "chronon-beam":
            yield words[1:]


@dataclass
class Reader:
    """Types in what a page says.

    Attributes:
        folder: where: it holds what a reader of the page has.
        has: what of NEEDS the reader has besides.
        out: what the last block has printed on stdout.
        err: what it has printed on stderr.
    """

    folder: Path
    has: frozenset[str] = frozenset()
    out: str = ""
    err: str = ""

    def read(self, block: Block) -> None:
        """Do what a reader does with the block; AssertionError if that does not succeed."""
        if block.named("needs") not in (None, *self.has):
            return
        if name := block.named("file"):
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text, encoding="utf-8")
        elif "output" in block.words:
            assert self.out == block.text, f"{block.where}: printed was\n{self.out}"
        elif "stderr" in block.words:
            self._expect_on_stderr(block)
        elif block.language == "sh":
            self._run(block)
        elif block.language == "python":
            self._run_program(block)

    def _expect_on_stderr(self, block: Block) -> None:
        printed = _SECONDS.sub("N s", self.err).splitlines()
        for line in _SECONDS.sub("N s", block.text).splitlines():
            assert line in printed, f"{block.where}: {line!r} is not among\n{self.err}"

    def _run(self, block: Block) -> None:
        self.out = self.err = ""
        for step in steps(block.text):
            code = self._chronon_beam(step) if self._is_ours(step) else self._shell(step)
            assert code == 0, f"{block.where}: exit code {code} of {step}\n{self.out}{self.err}"

    @staticmethod
    def _is_ours(step: str) -> bool:
        return Path(step.split(maxsplit=1)[0]).name == "chronon-beam" and " | " not in step

    def _chronon_beam(self, step: str) -> int:
        return self._printed(lambda: _exit_code(shlex.split(step, comments=True)[1:]))

    def _shell(self, step: str) -> int:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", step],
            cwd=self.folder,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        self.out += done.stdout
        self.err += done.stderr
        return done.returncode

    def _run_program(self, block: Block) -> None:
        self.out = self.err = ""
        program = compile(block.text, block.where, "exec")
        self._printed(lambda: exec(program, {"__name__": "__main__"}) or 0)

    def _printed(self, act: Callable[[], int]) -> int:
        out, err = StringIO(), StringIO()
        try:
            with chdir(self.folder), redirect_stdout(out), redirect_stderr(err):
                return act()
        finally:
            self.out += out.getvalue()
            self.err += err.getvalue()


def _exit_code(argv: Sequence[str]) -> int:
    try:
        return cli.main(argv)
    except SystemExit as stop:  # argparse's own way out
        return int(stop.code or 0)
