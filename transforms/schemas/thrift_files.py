"""Reads schemas of Thrift: a .thrift file and all that it includes, as text for the workers."""

import hashlib
import os
import re
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import thriftpy2
from thriftpy2.parser.exc import ThriftParserError

from chronon_beam.transforms.schemas.thrift_types import Struct

_INCLUDE = re.compile(r"^\s*include\s+([\"'])(?P<path>.+?)\1", re.MULTILINE)


class ThriftFiles(NamedTuple):
    """A schema as text; hashable, and pickled with the serde.

    Attributes:
        main: the name of the file that declares the struct.
        files: (name, text) of the main file and of all that it includes. All names are relative to
            the same folder.
    """

    main: str
    files: tuple[tuple[str, str], ...]


def read_files(path: str, include: Sequence[str] = ()) -> ThriftFiles:
    """A .thrift file and its includes.

    Args:
        path: the file.
        include: folders in which includes are looked for, besides the including file's own.

    Raises:
        FileNotFoundError: the file, or one that it includes, does not exist.
        ValueError: a file cannot be parsed.
    """
    found: dict[Path, str] = {}
    _read(Path(path), f"thrift={path}", include, found)
    folder = Path(os.path.commonpath([each.parent for each in found]))
    names = {each: str(each.relative_to(folder)) for each in found}
    main = names[Path(path).resolve()]
    files = ThriftFiles(main, tuple((names[each], text) for each, text in found.items()))
    _load(files, tuple(include))
    return files


def struct_of(files: ThriftFiles, name: str | None, include: Sequence[str] = ()) -> Struct:
    """The struct with that name; without a name, the only struct of the main file.

    Raises:
        ValueError: the file has no such struct, or several and no name is given.
    """
    structs = {
        each.__name__: each for each in _load(files, tuple(include)).__thrift_meta__["structs"]
    }
    if name is None and len(structs) == 1:
        return next(iter(structs.values()))
    listed = ", ".join(structs) or "none"
    if name is None:
        raise ValueError(f"which struct is read? Give struct=, one of {listed}")
    if name not in structs:
        raise ValueError(f"struct={name}: {files.main} has no such struct, it has {listed}")
    return structs[name]


def _read(path: Path, where: str, include: Sequence[str], found: dict[Path, str]) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"{where}: there is no such file")
    path = path.resolve()
    if path in found:
        return
    found[path] = path.read_text(encoding="utf-8")
    for each in _INCLUDE.finditer(found[path]):
        name = each["path"]
        places = [Path(folder, name) for folder in (path.parent, *include)]
        there = next((place for place in places if place.is_file()), places[0])
        _read(there, f"{where}: include {name!r}", include, found)


@lru_cache(maxsize=16)
def _load(files: ThriftFiles, include: tuple[str, ...]) -> ModuleType:
    """thriftpy2's module of the main file, from a folder: thriftpy2 can only read files."""
    digest = hashlib.sha256(repr(files).encode()).hexdigest()[:16]
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.files:
            place = Path(folder, name)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
        folders = sorted({str(Path(folder, name).parent) for name, _ in files.files})
        try:
            return thriftpy2.load(
                str(Path(folder, files.main)),
                module_name=f"schema_{digest}_thrift",
                include_dirs=[*folders, *include],
            )
        except ThriftParserError as error:
            raise ValueError(f"{files.main} is not a Thrift schema: {error}") from None
