"""How a Flink job server keeps what a splittable DoFn has left to do, and the cure of a leak in it.

Job servers older than Beam 2.76 store each residual under a state name of its own, and Flink never
forgets a name: checkpoints and heap grow with every bundle of a live source (apache/beam#27648).
The name is `sdf_checkpoint:ID:INDEX`; four bytes of the class that makes it, those that append the
ID, are replaced by no-ops, so that all residuals of a key share one name. A key has at most one
residual at a time, since each is made from the one before.

State does not cross from one way of naming to another: a savepoint is taken up only by a job server
of the kind that it comes from.
"""

import re
import zipfile
from enum import Enum
from pathlib import Path

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


class ResidualNames(Enum):
    """What kind of job server a jar holds."""

    LEAKING = "leaking"  # a name per residual
    SHARED = "shared"  # one name, by our cure
    BEAM = "beam"  # as Beam 2.76 and newer have it


def cured(class_file: bytes) -> bytes:
    """The class with one name for all residuals.

    Raises:
        ValueError: it is another class than the one that this cure was made for.
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
