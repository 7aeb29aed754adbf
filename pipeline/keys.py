"""Reads the keys for a command, as JSON lines of a file or of standard input."""

import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

from chronon_beam.pipeline.options import UsageError

_MOST_KEYS = 500
_CHUNK = 1 << 16


def read_keys(place: str) -> Iterator[list[dict[str, Any]]]:
    """The keys in a file, or in standard input for `-`: up to 500 at a time, in their order.

    Keys that are in a pipe already are given at once, without waiting for more: so another program
    can write a key, read the answer, and write the next key.

    Raises:
        UsageError: the file does not exist, or a line is not a JSON object.
    """
    if place != "-" and (not Path(place).exists() or Path(place).is_dir()):
        raise UsageError(
            f"--keys={place}: no such file: give one JSON object of key columns per line"
        )
    number = 0
    with nullcontext(sys.stdin.buffer) if place == "-" else open(place, "rb") as file:
        for lines in _ready_lines(cast(BufferedReader, file)):
            keys = []
            for line in lines:
                number += 1
                if line.strip():
                    keys.append(_key_of(line, f"{place}:{number}"))
            for start in range(0, len(keys), _MOST_KEYS):
                yield keys[start : start + _MOST_KEYS]


def _ready_lines(file: BufferedReader) -> Iterator[list[bytes]]:
    """Whole lines, as many as can be read without waiting for more."""
    rest = b""
    while chunk := file.read1(_CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        yield lines
    yield [rest]


def _key_of(line: bytes, where: str) -> dict[str, Any]:
    try:
        key = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{where}: not JSON: {error}") from error
    if not isinstance(key, dict):
        text = line.decode(errors="replace").strip()
        raise UsageError(f"{where}: an object of key columns is expected, found {text}")
    return key
