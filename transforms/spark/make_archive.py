"""Makes the archive of Spark's classes from which JVMs start quickly: see `quick_start`.

    python -m chronon_beam.transforms.spark.make_archive

It runs Spark once to find out which classes are loaded, and has Java write them to a file. That
takes half a minute of CPU, at the lowest priority, and the file has 170 MB. Of two processes at
once only one makes the file. The file gets its name when it is whole.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from chronon_beam.transforms.spark.compiled_query import compile_query
from chronon_beam.transforms.spark.java_runtime import java_home
from chronon_beam.transforms.spark.launch import CLASS_PATH, JARS, MEMORY
from chronon_beam.transforms.spark.query import SqlQuery
from chronon_beam.transforms.spark.quick_start import archive_path, failure_file, start
from chronon_beam.transforms.spark.session import local_spark, parse_ddl

_NEEDED_BYTES = 1 << 30
_UNUSED_S = 30 * 86_400
_TIMEOUT_S = 1_800
_UNFINISHED = ".part"


def main() -> int:
    """Make the archive, unless it exists, another process makes it, or the disk is full."""
    archive = archive_path(JARS)
    if archive is None:
        return 1
    archive.parent.mkdir(parents=True, exist_ok=True)
    with _alone(archive.parent) as alone:
        if not alone or archive.exists() or failure_file(archive).exists():
            return 0
        _clear(archive.parent)
        if shutil.disk_usage(archive.parent).free < _NEEDED_BYTES:
            return 1
        return _make(archive)


def _make(archive: Path) -> int:
    part = archive.with_suffix(_UNFINISHED)
    try:
        _write(part, archive.with_suffix(f".list{_UNFINISHED}"))
        part.replace(archive)
    except Exception as error:  # it would fail again each time
        failure_file(archive).write_text(f"{error}\n", encoding="utf-8")
        return 1
    finally:
        _clear(archive.parent)
    return 0


def _write(archive: Path, classes: Path) -> None:
    """Write the archive to `archive`, and the names of its classes to `classes`.

    Raises:
        RuntimeError: Java or Spark fails.
    """
    start.class_list, start.short = classes, True
    _use_spark()
    done = subprocess.run(
        [
            str(Path(java_home(), "bin", "java")),
            "-Xshare:dump",
            f"-XX:SharedClassListFile={classes}",
            f"-XX:SharedArchiveFile={archive}",
            *MEMORY,
            *CLASS_PATH,
        ],
        capture_output=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode or not archive.exists():
        said = (done.stdout + done.stderr)[-2_000:].decode(errors="replace")
        raise RuntimeError(f"Java ended with code {done.returncode}. It said: {said}")
    _sync(archive)


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether no other process makes an archive in the folder, as long as the context lasts."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _clear(folder: Path) -> None:
    """Remove unfinished files of earlier processes, and archives that were not used for a month."""
    for path in folder.iterdir():
        unused_s = time.time() - path.stat().st_mtime
        if path.suffix == _UNFINISHED or (path.suffix != "" and unused_s > _UNUSED_S):
            path.unlink()


def _sync(path: Path) -> None:
    """Wait until the file is on the disk: it gets its name after that."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


_SELECTS = {
    "arithmetic": "round(price * 1.1, 2) + n % 7 - coalesce(n / 2, 0)",
    "text": "upper(concat(s, substring(s, 1, 2), lpad(s, 5, '0')))",
    "pattern": "regexp_replace(s, '[a-z]+', 'x') LIKE '%x' AND s RLIKE '^a'",
    "time": "unix_millis(CAST(s AS TIMESTAMP)) + dayofweek(to_date(s)) + hour(t)",
    "format": "date_format(t, 'yyyy-MM-dd')",
    "json": "get_json_object(to_json(struct(*)), '$.s')",
    "parsed": "from_json(s, 'a INT, b ARRAY<STRING>').b[0]",
    "hash": "md5(s) || CAST(xxhash64(s, n) AS STRING)",
    "many": "size(array_distinct(transform(items, x -> x + 1))) + element_at(map('a', n), 'a')",
    "exact": "CAST(n AS DECIMAL(20, 2)) * CAST(price AS DECIMAL(10, 3))",
    "cases": "CASE WHEN n IN (1, 2, 3) THEN 'a' WHEN n IS NULL THEN 'b' ELSE split(s, ',')[0] END",
    "ts": "n",
}
"""Expressions as in most selects and derivations, so that their classes are in the archive."""


def _use_spark() -> None:
    """Plan and evaluate a query, and end Spark, so that Java loads all classes of a command."""
    schema = parse_ddl("s STRING, n BIGINT, price DOUBLE, t TIMESTAMP, items ARRAY<INT>")
    query = SqlQuery((*_SELECTS.items(),), ("n > 0 OR s = 'a'",), (), schema, (*_SELECTS,))
    compiled = compile_query(query)
    compiled.evaluate(pa.RecordBatch.from_pylist([{"s": "a", "n": 1}], schema=compiled.inputs))
    jvm = local_spark().jvm
    if jvm is not None:
        jvm.end()


if __name__ == "__main__":
    os.nice(19)
    sys.exit(main())
