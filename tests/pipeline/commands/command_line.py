"""Commands in this process: what they print, where, and with which exit code."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from chronon_beam.pipeline import cli

EXAMPLE = Path(__file__).parents[3] / "examples" / "ice_cream"
ICE_CREAM = f"--group_by={EXAMPLE / 'group_by.py'}"
EVENTS = f"--source=file:{EXAMPLE / 'events.jsonl'}"
ALICE = {"customer_id_count_6h": 2, "flavor_last_6h": "olive oil"}
BOB = {"customer_id_count_6h": 1, "flavor_last_6h": "strawberry"}
NOTHING = {"customer_id_count_6h": None, "flavor_last_6h": None}
ANN = {"user": "Ann", "price": 2.5, "t": 1000}


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[Any]:
        """Every line of stdout, each of which must be one JSON object."""
        return [json.loads(line, parse_constant=pytest.fail) for line in self.out.splitlines()]


Cli = Callable[..., Ran]
"""Runs one command, given its words."""

Flag = Callable[..., str]
"""Writes a file and gives the flag that names it."""


def run(capsys: pytest.CaptureFixture[str], argv: tuple[str, ...]) -> Ran:
    capsys.readouterr()
    try:
        code = cli.main(argv)
    except SystemExit as stop:  # argparse's own way out
        code = int(stop.code or 0)
    return Ran(code, *capsys.readouterr())
