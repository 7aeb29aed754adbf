"""A wheel in an environment of its own."""

import os
import subprocess
import sys
import venv
from pathlib import Path

import apache_beam


class Installed:
    """A wheel in an environment that has this one's packages, but not this checkout.

    Attributes:
        folder: where its commands run.
    """

    def __init__(self, wheel: Path, folder: Path) -> None:
        self.folder = folder
        self._bin = folder / "venv" / "bin"
        venv.create(self._bin.parent, symlinks=True)
        (packages,) = self._bin.parent.glob("lib/python*/site-packages")
        # A path alone: the .pth files of that folder, which name this checkout, are not read.
        dependencies = Path(apache_beam.__file__).parents[1]
        (packages / "dependencies.pth").write_text(f"{dependencies}\n", encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "--python", str(self._bin / "python"), "install"]
        subprocess.run([*pip, "-q", "--no-deps", "--no-index", str(wheel)], check=True)

    def run(self, command: str, *words: str) -> str:
        """What a command of the environment prints."""
        done = self._done(command, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def fails(self, command: str, *words: str) -> str:
        """What a command that is used wrongly says on stderr."""
        done = self._done(command, *words)
        assert done.returncode == 2, (done.stdout, done.stderr)
        return done.stderr

    def _done(self, command: str, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            [str(self._bin / command), *words],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
        )
