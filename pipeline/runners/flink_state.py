"""How a Flink job server stores what a splittable DoFn has left to do, and the cure of a leak.

What is left to do is called a residual. Job servers older than Beam 2.76 store each residual under
a state name of its own, and Flink keeps every name for ever: checkpoints and heap grow with every
bundle of a live source (apache/beam#27648). The name is `sdf_checkpoint:ID:INDEX`. The cure
replaces four bytes of the class that makes the name, those that append the ID, by no-ops: all
residuals of a key then share one name. A key has at most one residual at a time, since each is made
from the one before.

A savepoint can be restored only by a job server that names residuals in the same way.
"""

import re
import zipfile
from enum import Enum
from pathlib import Path

from apache_beam.io.filesystems import FileSystems

CLASS = (
    "org/apache/beam/runners/fnexecution/control/"
    "BundleCheckpointHandlers$StateAndTimerBundleCheckpointHandler.class"
)
"""The entry of the jar that makes the names."""

# Of `append(id).append(":").append(index)`: aload_0, invokevirtual append; ldc ":", the same
# invokevirtual; iload_1.
_APPENDS_ID = re.compile(rb"\x2a(\xb6..)(?=\x12.\1\x1b)", re.DOTALL)
_SKIPS_ID = re.compile(rb"\x00{4}(?=\x12.\xb6..\x1b)", re.DOTALL)
_NOPS = b"\0\0\0\0"
_STATE_NAME = re.compile(rb"sdf_checkpoint:(:?)")
_HEADER = 1 << 20
"""The names of the states in a file are within so many bytes of its beginning."""


class ResidualNames(Enum):
    """The kinds of job servers, by how they name residuals."""

    LEAKING = "leaking"  # a name per residual
    SHARED = "shared"  # one name, by our cure
    BEAM = "beam"  # as Beam 2.76 and newer have it


def cured(class_file: bytes) -> bytes:
    """The class, changed so that all residuals have one name.

    Raises:
        ValueError: the class is not the one that the cure was made for.
    """
    found = list(_APPENDS_ID.finditer(class_file))
    if len(found) != 1:
        raise ValueError(
            f"{CLASS} has {len(found)} places that append an ID, where 1 is expected: the "
            "versions in flink_jar.lock have changed; see whether the leak is still there"
        )
    start, stop = found[0].span()
    return class_file[:start] + _NOPS + class_file[stop:]


def residual_names(jar: Path) -> ResidualNames:
    """The kind of a job server's jar."""
    with zipfile.ZipFile(jar) as archive:
        if CLASS not in archive.namelist():
            return ResidualNames.BEAM
        class_file = archive.read(CLASS)
    if _APPENDS_ID.search(class_file):
        return ResidualNames.LEAKING
    return ResidualNames.SHARED if _SKIPS_ID.search(class_file) else ResidualNames.BEAM


def savepoint_names(savepoint: str) -> ResidualNames:
    """The kind of job server that a savepoint or checkpoint comes from, by its states' names.

    Without such names, the kind is that of Beam 2.76 and newer; so it is for a job that has no
    splittable DoFn.

    Raises:
        OSError: there is nothing to read at that path.
    """
    folder = re.sub("^file:(//)?(?=/)", "", savepoint).rstrip("/")  # Beam knows no file:
    found = FileSystems.match([f"{folder}/*"])[0].metadata_list
    if not found:
        raise FileNotFoundError(f"--savepoint_path={savepoint}: there is no file in it")
    kinds = set()
    for each in found:
        with FileSystems.open(each.path) as file:
            whole = each.path.endswith("_metadata")  # small states are in it, wherever it has them
            names = _STATE_NAME.findall(file.read(-1 if whole else _HEADER))
        kinds |= {ResidualNames.SHARED if name else ResidualNames.LEAKING for name in names}
    return next(iter(kinds), ResidualNames.BEAM)


def check_savepoint(savepoint: str, jar: str, live: bool) -> None:
    """Refuse a savepoint of another kind of job server: the source would stop, without an error.

    Args:
        savepoint: the path or URI given as `--savepoint_path`.
        jar: the job server's jar; if it is not a local file, nothing is checked.
        live: whether the job has a source that never ends.

    Raises:
        ValueError: it comes from another kind of job server.
    """
    if not live or not Path(jar).is_file():
        return
    wanted, found = residual_names(Path(jar)), savepoint_names(savepoint)
    if wanted is not found:
        raise ValueError(
            f"--savepoint_path={savepoint} comes from a job server of another kind ({found.value}, "
            f"this one is {wanted.value}): what its source has left to read would be forgotten. "
            "Give that job server's jar as --flink_job_server_jar, or start without the savepoint"
        )
