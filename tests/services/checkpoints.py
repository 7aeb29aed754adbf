"""What Flink's checkpoints on this disk hold."""

import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_RESIDUAL = re.compile(rb"sdf_checkpoint:\d*:\d+")


class Checkpoint(NamedTuple):
    """A checkpoint that is complete.

    Attributes:
        number: how many checkpoints the job has begun up to this one.
        size: bytes of all its files.
        residuals: the state names of what sources have left to read.
    """

    number: int
    size: int
    residuals: frozenset[bytes]


def newest_complete(folder: Path) -> Checkpoint | None:
    """The newest checkpoint of the only job in `folder`; None if there is none just now.

    A folder is made when its checkpoint begins, gets `_metadata` when it is complete, and loses
    that first when it is deleted, after the next one is complete.
    """
    complete = {int(path.parent.name[4:]): path for path in folder.glob("*/chk-*/_metadata")}
    if not complete:
        return None
    number, metadata = max(complete.items())
    with suppress(FileNotFoundError):
        files = [path.read_bytes() for path in metadata.parent.iterdir()]
        if metadata.exists():  # so all files were there
            names = frozenset(name for file in files for name in _RESIDUAL.findall(file))
            return Checkpoint(number, sum(map(len, files)), names)
    return None
