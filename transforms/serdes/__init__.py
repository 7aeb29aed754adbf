"""Serdes: each module here is one, named like its format, with a function `open_serde`.

`api.serde` says what a serde is and does. A new serde is a new file in this folder, and its test.
"""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from chronon_beam.api.plugins import entry_point_loaders
from chronon_beam.api.serde import GROUP, Format, SerDe


def open_serde(wanted: Format) -> SerDe:
    """The serde of a format.

    >>> open_serde(Format("json"))
    JsonSerDe(columns=None, framed=False)

    Raises:
        ValueError: no serde has the name of the format, or a parameter is wrong.
        ImportError: a library that the serde needs is missing.
    """
    built_in = [module.name for module in iter_modules(__path__)]
    if wanted.name in built_in:
        return _module(wanted.name).open_serde(wanted.parameters)
    others = entry_point_loaders(GROUP)
    if wanted.name not in others:
        listed = ", ".join(sorted({*built_in, *others}))
        raise ValueError(
            f"no serde is registered for format {wanted.name!r}: use one of {listed}, or install a "
            f"package with an entry point {wanted.name!r} in the group {GROUP!r}"
        )
    return others[wanted.name]()(wanted.parameters)


def _module(name: str) -> ModuleType:
    """The module of a format; libraries that it needs are in the extra with the format's name."""
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        raise ImportError(
            f"format {name}: a library is missing ({error}): install it with: "
            f"pip install 'chronon-beam[{name}]'"
        ) from error
