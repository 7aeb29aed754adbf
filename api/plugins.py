"""Finds objects by name: in this project, and in other installed packages by entry points."""

import difflib
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from operator import attrgetter
from typing import Any


def entry_point_loaders(group: str) -> dict[str, Callable[[], Any]]:
    """By name, the functions that load the entry points of a group in installed packages."""
    return {point.name: point.load for point in entry_points(group=group)}


def load_object(place: str) -> Any:
    """The object at `module:attribute`.

    >>> load_object("math:floor")(2.5)
    2

    Raises:
        ImportError: the module, or a package that it needs, is missing.
    """
    module, _, attribute = place.partition(":")
    return attrgetter(attribute)(import_module(module))


def refuse_unknown(parameters: Mapping[str, str], known: tuple[str, ...], where: str) -> None:
    """Refuse parameters that nobody reads, naming the nearest that is known.

    Args:
        parameters: by name; only the names are looked at.
        known: the names that are read.
        where: the subject of the error, for example `a file: source`.

    Raises:
        ValueError: a name of `parameters` is not in `known`.
    """
    for name in parameters:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}? " if near else ""
            listed = ", ".join(known) or "none"
            raise ValueError(f"{where} has no parameter {name!r}: {hint}It knows: {listed}")
