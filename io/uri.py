"""URIs of sources, stores and dead letters, `scheme:location?name=value`, and how to open them."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from chronon_beam.api.plugins import entry_point_loaders, load_object


class Uri(NamedTuple):
    """A URI in its parts.

    Attributes:
        scheme: for example `file`.
        location: the text between the scheme and `?`, percent-decoded.
        parameters: the parameters after `?`, percent-decoded.
    """

    scheme: str
    location: str
    parameters: dict[str, str]


def parse_uri(uri: str, usual: str = "file") -> Uri:
    """Split `uri`; values may hold spaces and `, < > : =`, and `&` when written `%26`.

    `usual` is the scheme that the error for a URI without one proposes.

    >>> parse_uri("file:a.txt?schema=id STRING, tags ARRAY<STRING>&format=jsonl").parameters
    {'schema': 'id STRING, tags ARRAY<STRING>', 'format': 'jsonl'}

    Raises:
        ValueError: there is no scheme, or a parameter has no value or is given twice.
    """
    scheme, colon, rest = uri.partition(":")
    if not colon or not scheme:
        raise ValueError(f"{uri!r} has no scheme: write for example {usual}:{uri.lstrip(':')}")
    location, _, query = rest.partition("?")
    parameters: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"{part!r} in {uri!r} has no value: write {name}=VALUE")
        if name in parameters:
            raise ValueError(f"{uri!r} gives {name!r} twice: keep one of them")
        parameters[name] = unquote(value)
    return Uri(scheme, unquote(location), parameters)


_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def duration_ms(text: str) -> int:
    """A length of time in milliseconds.

    >>> duration_ms("200ms"), duration_ms("10m"), duration_ms("5d")
    (200, 600000, 432000000)

    Raises:
        ValueError: `text` is not a whole number with a unit.
    """
    found = re.fullmatch(r"(\d+)(ms|s|m|h|d)", text)
    if found is None:
        raise ValueError(f"{text!r} is no length of time: write for example 200ms, 10m or 5d")
    return int(found[1]) * _UNITS_MS[found[2]]


def local_path(location: str, uri: str) -> str:
    """The path in a `file:` or `sqlite:` URI, where `//` before an absolute path is optional.

    Raises:
        ValueError: there is no path, or it has a host.
    """
    path = location
    if path.startswith("//"):
        path = path[2:]
        if not path.startswith("/"):
            scheme = uri.partition(":")[0]
            raise ValueError(
                f"{uri!r} names the host {path.partition('/')[0]!r}: "
                f"write {scheme}:{path} or {scheme}:///{path}"
            )
    if not path:
        raise ValueError(f"{uri!r} has no path: write for example {uri.partition(':')[0]}:PATH")
    return path


def opener_of(uri: str, kind: str, built_in: Mapping[str, str], group: str) -> Callable[[str], Any]:
    """The function that opens `uri`: built in, or offered by an installed package.

    Args:
        uri: any URI; only its scheme counts.
        kind: the noun for the error, for example `source`.
        built_in: `module:attribute` by scheme, imported when asked for; the usual scheme first.
        group: the entry point group to which other packages add their schemes.

    Raises:
        ValueError: the scheme is not registered.
        ImportError: the client library that the scheme needs is missing.
    """
    scheme = parse_uri(uri.partition("?")[0], usual=next(iter(built_in))).scheme
    if scheme in built_in:
        return load_object(built_in[scheme])
    others = entry_point_loaders(group)
    if scheme not in others:
        listed = ", ".join(f"{name}:" for name in sorted({*built_in, *others}))
        raise ValueError(
            f"no {kind} is registered for {scheme + ':'!r} of {uri!r}: use one of {listed}, "
            f"or install a package with an entry point {scheme!r} in the group {group!r}"
        )
    return others[scheme]()
