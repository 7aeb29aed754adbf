"""External sources: services of the user that are asked for columns while a join is fetched.

An installed package offers one as an entry point of the group `chronon_beam.external_sources`,
under the name of the source, or of its factory. The entry point is an `ExternalFactory`. The source
`contextual` needs none: its values are those of the request.

Source: `ai.chronon.online.ExternalSourceRegistry`.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Mapping, Sequence
from typing import Protocol

from chronon_beam.api.data_types import is_scalar
from chronon_beam.api.group_by import GroupByError
from chronon_beam.api.join import ExternalPart, ExternalSource, Join
from chronon_beam.api.plugins import entry_point_loaders
from chronon_beam.fetcher.key_cast import KeyCastError, cast_key
from chronon_beam.fetcher.rows import Cause, RequestRow, RowFailure, reason_of

GROUP = "chronon_beam.external_sources"

Values = Mapping[str, object]
"""Values of an external source by their names in its schema."""

ExternalAnswers = Sequence[Values | Exception]
"""For each key its values, or why it has no values."""


class ExternalHandler(Protocol):
    """Asks an external source: a plain function, run in a thread, or a coroutine function."""

    def __call__(self, keys: Sequence[Values], /) -> ExternalAnswers | Awaitable[ExternalAnswers]:
        """One answer per key, in the order of the keys; calls may overlap.

        Args:
            keys: the distinct keys of all rows of a request, each with the columns of the source's
                key schema.
        """
        ...


class ExternalFactory(Protocol):
    """Makes handlers."""

    def __call__(self, source: ExternalSource, /) -> ExternalHandler:
        """The handler of a declared source; called once, before the join is fetched."""
        ...


Handlers = Mapping[str, ExternalHandler]
"""Handlers by the name of their source."""


def open_handlers(join: Join) -> Handlers:
    """The handlers of a join's external sources, from the installed packages.

    Raises:
        GroupByError: no package offers one of them.
    """
    factories, handlers = entry_point_loaders(GROUP), dict[str, ExternalHandler]()
    for source in (part.source for part in join.external_parts):
        if source.is_contextual or source.name in handlers:
            continue
        name = source.factory or source.name
        if name not in factories:
            raise GroupByError(
                f"{join.name}: external source {source.name!r}: install a package with an entry "
                f"point {name!r} in the group {GROUP!r} (installed are "
                f"{', '.join(sorted(factories)) or 'none'})"
            )
        handlers[source.name] = factories[name]()(source)
    return handlers


async def ask(
    parts: Sequence[ExternalPart], handlers: Handlers, rows: Sequence[RequestRow]
) -> list[list[Values | RowFailure]]:
    """For each part the values of each row, or why it has none; each source is called once."""
    keys = [[_key(part, row) for row in rows] for part in parts]
    wanted: dict[str, dict[str, Values]] = {}
    for part, found in zip(parts, keys, strict=True):
        known = {repr(key): key for key in found if not isinstance(key, RowFailure)}
        if not part.source.is_contextual:
            wanted.setdefault(part.source.name, {}).update(known)
    calls = (_call(name, handlers.get(name), [*each.values()]) for name, each in wanted.items())
    answers = {
        name: dict(zip(wanted[name], answer, strict=True))
        for name, answer in zip(wanted, await asyncio.gather(*calls), strict=True)
    }
    return [
        [_values(part, key, answers.get(part.source.name, {})) for key in found]
        for part, found in zip(parts, keys, strict=True)
    ]


def _key(part: ExternalPart, row: RequestRow) -> Values | RowFailure:
    """The key of a part for a row; for a contextual source, a column that the row lacks is null."""
    lefts = part.left_columns
    missing = [left for left in lefts.values() if left not in row]
    if missing and not part.source.is_contextual:
        return RowFailure(f"key column {', '.join(missing)} is missing", Cause.KEY)
    key = {name: row.get(left) for name, left in lefts.items()}
    scalars = {name: kind for name, kind in part.source.keys.fields if is_scalar(kind)}
    try:
        return {**key, **cast_key(key, scalars)}
    except KeyCastError as error:
        return RowFailure(str(error), Cause.KEY)


def _values(
    part: ExternalPart, key: Values | RowFailure, answers: Mapping[str, Values | RowFailure]
) -> Values | RowFailure:
    """The part's columns for a key, by their names in the join."""
    if isinstance(key, RowFailure):
        return key
    found = key if part.source.is_contextual else answers[repr(key)]
    if isinstance(found, RowFailure):
        return found
    return {part.column_prefix + name: found.get(name) for name, _ in part.source.values.fields}


async def _call(
    name: str, handler: ExternalHandler | None, keys: list[Values]
) -> list[Values | RowFailure]:
    """A source's answers to keys; any error of its handler is a failure of this source alone."""
    if not keys:
        return []
    try:
        answers = await _run_handler(name, handler, keys)
        if len(answers) != len(keys):
            raise ValueError(f"it gave {len(answers)} answers to {len(keys)} keys")
    except Exception as error:
        return [_failure(name, error)] * len(keys)
    return [_checked(name, answer) for answer in answers]


async def _run_handler(
    name: str, handler: ExternalHandler | None, keys: list[Values]
) -> ExternalAnswers:
    if handler is None:
        raise LookupError(f"there is no handler for it: see the entry points {GROUP!r}")
    functions = (handler, type(handler).__call__)
    is_async = any(inspect.iscoroutinefunction(each) for each in functions)
    answers = handler(keys) if is_async else await asyncio.to_thread(handler, keys)
    return await answers if inspect.isawaitable(answers) else answers


def _checked(name: str, answer: object) -> Values | RowFailure:
    if isinstance(answer, Exception):
        return _failure(name, answer)
    if not isinstance(answer, Mapping):
        return _failure(name, TypeError(f"a mapping per key is expected, found {type(answer)}"))
    return answer


def _failure(name: str, error: Exception) -> RowFailure:
    return RowFailure(f"external source {name!r}: {reason_of(error)}", Cause.EXTERNAL)
