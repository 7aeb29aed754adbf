"""The fields of a page's form; the query string holds all of them, so that each page has a link."""

import time
from argparse import ArgumentTypeError
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from chronon_beam.api.data_types import BOOLEAN, DataType
from chronon_beam.api.time_text import moment_text, parse_moment
from chronon_beam.fetcher.entity_key import Key
from chronon_beam.fetcher.key_cast import KeyCastError, cast_key

_KEY, _NULL = "key.", "null."


class PageError(Exception):
    """A page that cannot be shown, in the user's words.

    Attributes:
        status: of HTTP.
        title: what has happened.
        details: why, and what to do.
    """

    def __init__(self, status: int, title: str, details: str) -> None:
        super().__init__(details)
        self.status, self.title, self.details = status, title, details


@dataclass(frozen=True)
class Question:
    """The fields of the form, as they were typed in.

    Attributes:
        keys: texts of key columns; None for a null.
        at: the time of the query; empty for now.
        compare: another time; empty for none.
        feature: the name of the feature to explain; empty for the first feature.
        steps: `all` for every step of the merge; otherwise steps in the middle are left out.
    """

    group_by: str = ""
    keys: Mapping[str, str | None] = field(default_factory=dict)
    at: str = ""
    compare: str = ""
    feature: str = ""
    steps: str = ""

    @staticmethod
    def of(parameters: Iterable[tuple[str, str]]) -> "Question":
        """The question in a query string; other parameters are ignored."""
        given = list(parameters)
        keys: dict[str, str | None] = {
            name.removeprefix(_KEY): text for name, text in given if name.startswith(_KEY)
        }
        keys |= {name.removeprefix(_NULL): None for name, _ in given if name.startswith(_NULL)}
        plain = {name: text.strip() for name, text in given}
        known = ("group_by", "at", "compare", "feature", "steps")
        return Question(keys=keys, **{name: plain[name] for name in known if name in plain})

    def link(self, **changes: str) -> str:
        """The query string of this question with other fields."""
        asked = replace(self, **changes)
        texts = {"group_by": asked.group_by}
        for name, text in asked.keys.items():
            texts[f"{_KEY if text is not None else _NULL}{name}"] = text or ""
        rest = {name: getattr(asked, name) for name in ("at", "compare", "feature", "steps")}
        return "?" + urlencode(texts | {name: text for name, text in rest.items() if text})

    def key(self, columns: Mapping[str, DataType]) -> Key:
        """The key, of the columns' types.

        Raises:
            PageError: a column is missing, or its text is not of the column's type.
        """
        typed = {name: _typed(text, columns.get(name)) for name, text in self.keys.items()}
        try:
            return cast_key(typed, columns)
        except KeyCastError as error:
            expected = ", ".join(f"{name} ({kind.name})" for name, kind in columns.items())
            details = f"{error}. The key of {self.group_by} is {expected}."
            raise PageError(400, "The key does not fit", details) from None


def _typed(text: str | None, kind: DataType | None) -> object:
    booleans = {"true": True, "false": False}
    return booleans.get(text.lower(), text) if kind == BOOLEAN and text is not None else text


def time_of(text: str) -> int:
    """The time that a field names, now if it is empty; raises PageError."""
    if not text:
        return time.time_ns() // 1_000_000
    try:
        at_ms = parse_moment(text)
    except ArgumentTypeError as error:
        raise PageError(400, "The time cannot be read", f"{error}.") from None
    if moment_text(at_ms) == str(at_ms):
        details = f"{text} is not in the years 1 to 9999: times are milliseconds since 1970."
        raise PageError(400, "The time cannot be read", details)
    return at_ms
