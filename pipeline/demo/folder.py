"""The folder of a demo: the GroupBy, the store, the topic, checkpoints and logs are all in it."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chronon_beam.pipeline.options import UsageError
from chronon_beam.transforms.spark.cache_directory import cache_directory

_MIB = 1 << 20
_PARTS_MIB, _FOLDER_MIB = 700, 300
"""What the parts take once they are downloaded, and what a demo writes in an hour or so."""

_GROUP_BY = Path(__file__).with_name("orders.py")


class DemoFailed(RuntimeError):
    """The demo cannot go on; the message says why, and where the logs are."""


class DemoFolder:
    """The places in a demo's folder.

    Args:
        path: an empty folder.
        scratch: another one, for temporary files of the job.
    """

    def __init__(self, path: Path, scratch: Path) -> None:
        self.path, self.scratch = path, scratch
        self.group_by = path / "shop" / _GROUP_BY.name
        self.store = f"sqlite:{path / 'features.db'}"
        self.dead_letters = path / "dead_letters.jsonl"
        self.flink = path / "flink"
        self.checkpoints = path / "checkpoints"
        self.kafka = path / "kafka"
        self.job_log = path / "job.log"
        for folder in (self.group_by.parent, self.flink, self.kafka, self.scratch):
            folder.mkdir()
        shutil.copyfile(_GROUP_BY, self.group_by)

    @property
    def logs(self) -> list[Path]:
        """What the job and the broker have printed."""
        return [log for log in (self.job_log, *self.kafka.glob("*.log")) if log.is_file()]


@contextmanager
def opened_folder(keep: str | None) -> Iterator[DemoFolder]:
    """A folder for the time of the context.

    Args:
        keep: a folder to make, and to leave there; None for one that is removed.

    Raises:
        UsageError: `keep` is there already, or cannot be made.
        DemoFailed: there is too little room, or the demo has failed in the context; then the folder
            stays if there are logs in it.
    """
    kept = _made(Path(keep).absolute()) if keep else None
    removed = Path(tempfile.mkdtemp(prefix="chronon-demo-"))
    folder = DemoFolder(kept or removed, removed / "tmp")
    try:
        _require_room(folder.path)
        yield folder
    except (RuntimeError, OSError) as error:
        if folder.logs and not kept:
            kept = folder.path
        shutil.rmtree(folder.scratch, ignore_errors=True)
        logs = f". The logs are kept: {', '.join(map(str, folder.logs))}" if folder.logs else ""
        raise DemoFailed(f"{error}{logs}") from error
    finally:
        if kept != removed:
            shutil.rmtree(removed, ignore_errors=True)


def _made(path: Path) -> Path:
    try:
        path.mkdir()
    except FileExistsError:
        raise UsageError(f"--keep={path}: it is there already: name a new folder") from None
    except OSError as error:
        raise UsageError(f"--keep={path}: it cannot be made: {error.strerror}") from None
    return path


def _require_room(folder: Path) -> None:
    """Raise RuntimeError if a disk has too little room for the parts, or for what a demo writes."""
    cache = cache_directory()
    needed = {folder: _FOLDER_MIB}
    if not any(cache.glob("flink-*.jar")):
        needed[cache] = _PARTS_MIB
    for place, mebibytes in needed.items():
        free = shutil.disk_usage(place).free // _MIB
        if free < mebibytes:
            variable = "CHRONON_BEAM_CACHE" if place == cache else "TMPDIR"
            raise RuntimeError(
                f"{place} has {free} MB left, and {mebibytes} are needed: make room, or choose "
                f"another place with {variable}"
            )
