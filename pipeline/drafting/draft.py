"""Guesses a first GroupBy for the events of a file from names, types and values of its columns.

Every guess has a reason that a person can judge; `page.as_python` writes it beside the guess.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from chronon_beam.pipeline.drafting.event_time import EventTime, event_time
from chronon_beam.pipeline.drafting.names import aliases_of, identifier, quoted, words_of
from chronon_beam.pipeline.options import UsageError

_KEY_WORDS = words_of(
    "id key user customer account client member player device session driver rider shop store "
    "merchant seller buyer card host ip uuid guid carrier"
)
_MOST_INPUTS = 8


@dataclass(frozen=True)
class InputColumn:
    """A column that is aggregated.

    Attributes:
        alias: the name of the column among the selects.
        expression: Spark SQL for the value of the column.
        operations: the names of the operations that aggregate it.
    """

    alias: str
    expression: str
    operations: tuple[str, ...]


@dataclass(frozen=True)
class Draft:
    """A GroupBy that can be written down.

    Attributes:
        variable: the name of the GroupBy in Python.
        keys: Spark SQL of each key column, by alias.
        time: the time of an event.
        inputs: the columns that are aggregated.
        remarks: why a column is used so: the name, the type and the remark for each.
        example: keys of an event, whose features can be fetched: values by alias.
    """

    variable: str
    keys: dict[str, str]
    time: EventTime
    inputs: tuple[InputColumn, ...]
    remarks: tuple[tuple[str, str, str], ...]
    example: dict[str, Any]


def draft(
    events: pa.RecordBatch, name: str, keys: Sequence[str] = (), time: str | None = None
) -> Draft:
    """A GroupBy over events like these.

    Args:
        events: the first events of the file, at least one.
        name: what the variable is named after, for example the file's name.
        keys: the key columns; guessed if there are none.
        time: a column, or Spark SQL that gives milliseconds; None to guess it.

    Raises:
        UsageError: a column does not exist, or no column looks like a time or a key.
    """
    _refuse_unknown(events, keys)
    when = event_time(events, time)
    keys = keys or [_key_of(events, when)]
    aliases = aliases_of(events.schema.names)
    taken = (*keys, when.column, *when.others)
    others = [name for name in events.schema.names if name not in taken]
    inputs = {each: found for each in others if (found := _input(events, each, aliases[each]))}
    chosen = dict(list(inputs.items())[:_MOST_INPUTS])
    remarks = [_remark(events, each, keys, when, chosen) for each in events.schema.names]
    return Draft(
        identifier(name),
        {aliases[key]: _key_expression(events, key) for key in keys},
        when,
        (InputColumn(aliases[keys[0]], "", ("COUNT",)), *chosen.values()),
        tuple(remarks),
        _example(events, keys, aliases),
    )


def _refuse_unknown(events: pa.RecordBatch, keys: Iterable[str]) -> None:
    for key in keys:
        if key not in events.schema.names:
            listed = ", ".join(events.schema.names)
            raise UsageError(f"--key={key}: there is no such column: the columns are {listed}")


def _key_of(events: pa.RecordBatch, when: EventTime) -> str:
    """The column that most looks like the entity which events are about."""
    possible = [f.name for f in events.schema if _is_scalar(f.type) and f.name != when.column]
    if not possible:
        raise UsageError("no column can be the key: it must be text or a whole number: see --key")
    return max(possible, key=lambda name: _likeness_to_key(events, name))


def _likeness_to_key(events: pa.RecordBatch, name: str) -> tuple[int, int]:
    """How much a column looks like a key; of equal columns the first is the likeliest."""
    values = events.column(name).drop_null()
    distinct = len(values.unique())
    named = bool(words_of(name) & _KEY_WORDS)
    repeats = 1 < distinct < len(values) or (named and distinct < len(values))
    text = pa.types.is_string(values.type)
    return 4 * named + 3 * repeats + text, -events.schema.get_field_index(name)


def _is_scalar(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)


def _key_expression(events: pa.RecordBatch, name: str) -> str:
    kind = events.schema.field(name).type
    return f"CAST({quoted(name)} AS INT)" if kind in (pa.int8(), pa.uint8()) else quoted(name)


def _input(events: pa.RecordBatch, name: str, alias: str) -> InputColumn | None:
    """How a column can be aggregated; None for lists, records, times and the like."""
    kind, column = events.schema.field(name).type, quoted(name)
    if words_of(name) & _KEY_WORDS and _is_scalar(kind):
        return InputColumn(alias, _key_expression(events, name), ("APPROX_UNIQUE_COUNT",))
    if pa.types.is_boolean(kind):
        return InputColumn(alias, column, ("SUM",))
    if kind in (pa.int8(), pa.uint8()):
        return InputColumn(alias, f"CAST({column} AS INT)", ("SUM", "AVERAGE"))
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return InputColumn(alias, column, ("SUM", "AVERAGE"))
    if pa.types.is_decimal(kind) or _is_number_in_text(events, name):
        return InputColumn(alias, f"CAST({column} AS DOUBLE)", ("SUM", "AVERAGE"))
    return InputColumn(alias, column, ("LAST",)) if _is_scalar(kind) else None


def _is_number_in_text(events: pa.RecordBatch, name: str) -> bool:
    if not pa.types.is_string(events.schema.field(name).type):
        return False
    values = events.column(name).drop_null().to_pylist()
    return bool(values) and all(re.fullmatch(r"[+-]?\d+(\.\d+)?", value) for value in values)


def _remark(
    events: pa.RecordBatch,
    name: str,
    keys: Sequence[str],
    when: EventTime,
    inputs: dict[str, InputColumn],
) -> tuple[str, str, str]:
    what = "left out to begin with"
    if name in keys:
        values = events.column(name).drop_null()
        what = f"the key: {len(values.unique()):,} different values in {len(events):,} events"
    elif name == when.column:
        what = f"the time: {when.why}"
    elif name in inputs:
        what = ", ".join(inputs[name].operations)
        what += ", numbers in text" if _is_number_in_text(events, name) else ""
    elif name in when.others:
        what = "left out; could be the time, too: see --time"
    return name, str(events.schema.field(name).type), what


def _example(
    events: pa.RecordBatch, keys: Sequence[str], aliases: dict[str, str]
) -> dict[str, Any]:
    """The key of the last event that has one."""
    columns = {aliases[key]: events.column(key).to_pylist() for key in keys}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    whole = [row for row in rows if None not in row.values()]
    return whole[-1] if whole else dict.fromkeys(columns, "...")
