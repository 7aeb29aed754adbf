"""This package as a wheel, and the versions of the packages that it runs with here, for an image.

The pickles in a job's graph need the same code that made them. So an image gets the package that
makes the template, whether that was installed from an index or is a checkout, and the same versions
of all packages that it needs.
"""

import hashlib
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NAME = "chronon-beam"
ROOMS = ("aggregator", "api", "fetcher", "io", "pipeline", "runner_configs", "transforms")
EXTRAS = ("bigtable", "kafka", "protobuf", "pubsub", "thrift")
"""The extras of a job that is launched with any source, serde and store."""

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
"""Pickles hold byte code, which is of one minor version."""

_WHEEL = "Wheel-Version: 1.0\nGenerator: chronon-beam\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_EPOCH = (1980, 1, 1, 0, 0, 0)


def write_wheel(folder: Path) -> Path:
    """Write the package as it is imported here; the same package gives the same bytes."""
    package = distribution(NAME)
    stem = f"chronon_beam-{package.version}"
    entries = {**dict(_modules()), **_metadata(package, f"{stem}.dist-info")}
    record = f"{stem}.dist-info/RECORD"
    lines = [f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in entries.items()]
    entries[record] = "".join([*lines, f"{record},,\n"]).encode()
    path = folder / f"{stem}-py3-none-any.whl"
    with ZipFile(path, "w") as wheel:
        for name, data in entries.items():
            wheel.writestr(ZipInfo(name, _EPOCH), data, ZIP_DEFLATED)
    return path


def _modules() -> Iterator[tuple[str, bytes]]:
    for room in ROOMS:
        folder = Path(import_module(f"chronon_beam.{room}").__path__[0])
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.parent.name != "__pycache__":
                name = f"chronon_beam/{room}/{path.relative_to(folder).as_posix()}"
                yield name, path.read_bytes()


def _metadata(package: Distribution, folder: str) -> dict[str, bytes]:
    # A checkout that stands on the path has its metadata under another name.
    about = package.read_text("METADATA") or package.read_text("PKG-INFO") or ""
    commands = package.read_text("entry_points.txt") or ""
    texts = {"METADATA": about, "WHEEL": _WHEEL, "entry_points.txt": commands}
    return {f"{folder}/{name}": text.encode() for name, text in texts.items()}


def _digest(data: bytes) -> str:
    return urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def constraints(extras: Sequence[str] = EXTRAS) -> list[str]:
    """`name==version` of each package that this one needs, with these extras, as installed here.

    A package is left out that is not installed here, or in a version that an extra does not take:
    the version that an image gets of it is within the range that is asked for.
    """
    found: dict[str, str] = {}
    refused: set[str] = set()
    for wanted in _closure(Requirement(f"{NAME}[{','.join(extras)}]")):
        name = canonicalize_name(wanted.name)
        with suppress(PackageNotFoundError):
            found[name] = version(name)
            if not wanted.specifier.contains(found[name], prereleases=True):
                refused.add(name)
    kept = sorted(found.keys() - refused - {NAME})
    return [f"{name}=={found[name]}" for name in kept]


def _closure(first: Requirement) -> list[Requirement]:
    """A requirement, and all that follow from it by the packages that are installed here."""
    found, seen = [first], {str(first)}
    for wanted in found:  # which grows
        with suppress(PackageNotFoundError):
            more = {str(each): each for each in _needs(distribution(wanted.name), wanted.extras)}
            found += [each for text, each in more.items() if text not in seen]
            seen |= set(more)
    return found


def _needs(package: Distribution, extras: Iterable[str]) -> Iterator[Requirement]:
    for line in package.requires or ():
        needed = Requirement(line)
        marker = needed.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield needed
