"""Which files a path names: one file, the files of a pattern, or those of a folder.

Folders are read as Spark reads them, at any depth. Files and folders whose names begin with `_` or
`.` are not data (`_SUCCESS`, `.part-0.crc`). A folder `ds=2024-01-01` gives all files in it a
column `ds` with this value.
"""

import os
import re
from collections.abc import Sequence
from urllib.parse import unquote

import pyarrow as pa
from apache_beam.io.filesystem import FileSystem
from apache_beam.io.filesystems import FileSystems

from chronon_beam.io.files.identity import resolved

_NULL = "__HIVE_DEFAULT_PARTITION__"
_TYPES = (pa.int32(), pa.int64(), pa.float64(), pa.date32(), pa.timestamp("us"))
"""A partition column has the first of these types to which all its texts can be cast, as in Spark.
"""


def matching(pattern: str) -> list[str]:
    """The paths of the files that `pattern` names, `resolved` and sorted.

    Args:
        pattern: a path, a glob or a folder, of any file system that Beam knows.

    Raises:
        FileNotFoundError: no file matches.
    """
    folder = folder_of(pattern)
    found = _files(_all_of(pattern, folder))
    if folder:
        found = [path for path in found if _is_data(_below(path, folder))]
    elif pattern not in found:
        found = [path for path in found if _is_data([os.path.basename(path)])]
    paths = sorted({resolved(path) for path in found})
    if not paths:
        raise FileNotFoundError(f"no file matches {pattern!r}: check the path and the pattern")
    return paths


def taken_files(pattern: str, paths: Sequence[str]) -> list[str]:
    """Those of the local files `paths` that `pattern` names, or would name once they exist."""
    if FileSystems.get_scheme(pattern) is not None:
        return []
    folder = folder_of(pattern)
    there = {(each.st_dev, each.st_ino) for each in map(os.stat, _files(_all_of(pattern, folder)))}
    return [path for path in paths if _is_one_of(path, there) or _fits(path, pattern, folder)]


def _all_of(pattern: str, folder: str | None) -> str:
    return f"{folder}/**" if folder else pattern


def _is_one_of(path: str, there: set[tuple[int, int]]) -> bool:
    if not os.path.exists(path):
        return False
    found = os.stat(path)
    return (found.st_dev, found.st_ino) in there


def _fits(path: str, pattern: str, folder: str | None) -> bool:
    """Whether `pattern` takes the name of a file, which need not exist yet."""
    literal = re.split(r"[*?[]", pattern, maxsplit=1)[0]
    place = folder or os.path.dirname(literal)
    glob = "**" if folder else pattern.removeprefix(place).lstrip("/")
    fits = re.compile(FileSystem.translate_pattern(glob)).match
    parent = f"{resolved(place or '.').rstrip('/')}/"
    link = os.path.join(resolved(os.path.dirname(path) or "."), os.path.basename(path))
    below = [
        name.removeprefix(parent) for name in (link, resolved(path)) if name.startswith(parent)
    ]
    return any(
        fits(name) and _is_data(name.split("/") if folder else [name.rpartition("/")[2]])
        for name in below
    )


def folder_of(pattern: str) -> str | None:
    """The folder that `pattern` names, `resolved`; None if it names files."""
    folder = pattern.rstrip("/")
    if FileSystems.get_scheme(pattern) is None:
        return resolved(folder) if os.path.isdir(folder or "/") else None
    return folder if pattern.endswith("/") or not _files(pattern) else None


def partition_schema(folder: str, paths: Sequence[str]) -> pa.Schema:
    """The partition columns in the names of folders below `folder`, of the types that Spark infers.

    Raises:
        ValueError: two of the files are in folders of different columns.
    """
    rows = [partition_values(folder, path) for path in paths]
    for path, row in zip(paths, rows, strict=True):
        if list(row) != list(rows[0]):
            raise ValueError(
                f"{paths[0]} and {path} are in folders of different columns: {list(rows[0])} and "
                f"{list(row)}; name one of the folders below {folder}"
            )
    return pa.schema([(name, _type_of([row[name] for row in rows])) for name in rows[0]])


def partition_values(folder: str, path: str) -> dict[str, str | None]:
    """The partition columns of a file, from the names of the folders between `folder` and the file.

    >>> partition_values("/data", "/data/ds=2024-01-01/h=10%3A00/part-0.json")
    {'ds': '2024-01-01', 'h': '10:00'}
    """
    pairs = [each.partition("=") for each in _below(path, folder)[:-1] if "=" in each]
    texts = {unquote(name): unquote(text) for name, _, text in pairs}
    return {name: None if text == _NULL else text for name, text in texts.items()}


def partition_batch(values: dict[str, str | None], columns: pa.Schema, rows: int) -> pa.RecordBatch:
    """The partition columns of `rows` messages of one file, as text; Decode casts it."""
    arrays = [pa.repeat(pa.scalar(values[each.name], pa.string()), rows) for each in columns]
    return pa.RecordBatch.from_arrays(arrays, columns.names)


def _files(pattern: str) -> list[str]:
    return [each.path for each in FileSystems.match([pattern])[0].metadata_list]


def _below(path: str, folder: str) -> list[str]:
    return path.removeprefix(folder).strip("/").split("/")


def _is_data(names: Sequence[str]) -> bool:
    hidden = (name[:1] == "." or (name[:1] == "_" and "=" not in name) for name in names)
    return not any(hidden)


def _type_of(texts: list[str | None]) -> pa.DataType:
    column = pa.array(texts, pa.string())
    for kind in _TYPES:
        try:
            column.cast(kind)
        except pa.ArrowInvalid:
            continue
        if column.null_count < len(column):
            return pa.timestamp("us", tz="UTC") if pa.types.is_timestamp(kind) else kind
    return pa.string()
