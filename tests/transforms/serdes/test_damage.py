"""Damaged messages of every format are rows or dead letters; see `damage`, which is a command."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from written import FORMATS

PAYLOADS = 100_000
MOST_MB = 32.0
"""Growth beyond that over sound messages: a few hundred bytes each would be more."""


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Any]:
    """By format; of a process of its own, since native code that crashes ends it."""
    command = [sys.executable, str(Path(__file__).with_name("damage.py"))]
    done = subprocess.run(
        [*command, f"--payloads={PAYLOADS}"], capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, f"after {lines[-1:]}: {done.stderr[-3000:]}"
    return {found["format"]: found for found in map(json.loads, lines)}


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_message_is_a_row_or_a_letter_and_harms_no_other(
    outcomes: dict[str, Any], name: str
):
    found = outcomes[name]
    assert found["payloads"] >= PAYLOADS
    assert found["rows"] + found["letters"] == found["payloads"]
    assert found["letters"] > found["payloads"] / 2
    assert found["escaped"] == found["changed"] == 0
    assert found["grown_mb"] - found["sound_grown_mb"] < MOST_MB
