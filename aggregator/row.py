"""All columns of a tile together: Chronon's `RowAggregator`.

An accumulator is a list with one IR per column; None for a column that has seen no value.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from chronon_beam.aggregator.columns import Column, column
from chronon_beam.aggregator.expressions import FunctionBuilder
from chronon_beam.api.data_types import DataType
from chronon_beam.api.group_by import AggregationPart, GroupBy, GroupByError

Accumulator = list[object]
Row = Sequence[object]
_Change = Callable[[Accumulator, Row, int], None]


class _Step(NamedTuple):
    """A column, with the index of its IR and the positions of its input and bucket in a row."""

    index: int
    position: int
    bucket_position: int | None
    column: Column


def _adder(steps: Sequence[_Step]) -> _Change:
    """The function that adds a row.

    For COUNT it is this:

    value = row[3]
    if value is not None:
        ir = accumulator[0]
        accumulator[0] = (1) if ir is None else (ir + 1)
    """
    builder = FunctionBuilder()
    for (position, bucket), found in groupby(
        sorted(steps, key=_places), key=lambda step: (step.position, step.bucket_position)
    ):
        group = list(found)
        arguments = {"value": "value", "bucket": "bucket", "ts_ms": "ts_ms"}
        if bucket is None:
            del arguments["bucket"]
            builder.lines += [f" value = row[{position}]", " if value is not None:"]
        else:
            builder.lines += [f" value = row[{position}]", f" bucket = row[{bucket}]"]
            builder.lines += [" if value is not None and bucket is not None:"]
        functions = [f for step in group for f in (step.column.prepare, step.column.update)]
        for name, text in builder.shared_values(functions, **arguments).items():
            builder.lines.append(f"  {name} = {text}")
        for i, *_, made in group:
            prepared = builder.call(made.prepare, **arguments)
            updated = builder.call(made.update, ir="ir", **arguments)
            builder.lines.append(f"  ir = accumulator[{i}]")
            builder.lines.append(f"  accumulator[{i}] = {prepared} if ir is None else {updated}")
    return builder.function("accumulator, row, ts_ms")


def _update_or_delete(update: _Change, undo: _Change, position: int) -> _Change:
    """`update`, or `undo` for rows whose value at `position` is true."""

    def change(accumulator: Accumulator, row: Row, ts_ms: int) -> None:
        (undo if row[position] else update)(accumulator, row, ts_ms)

    return change


def _places(step: _Step) -> tuple[int, int]:
    return step.position, -1 if step.bucket_position is None else step.bucket_position


class RowAggregator:
    """Adds rows to accumulators and merges accumulators.

    Attributes:
        columns: one per part.
        update: (accumulator, row, ts_ms): adds one row in place, its values in the order of
            `inputs`. Nulls, and null buckets, add nothing.

    Args:
        parts: the columns.
        inputs: the row's columns in order, with their types.
        group_by: gives dialect and name.
        only: indices of the columns that rows are added to; the others stay None. All by default.
        offset: how many values come before the inputs in a row.
        deletes: whether rows have a flag after the inputs; `update` deletes a row whose flag is
            true.

    Raises:
        GroupByError: a column cannot be made; the message names it.
    """

    def __init__(
        self,
        parts: Sequence[AggregationPart],
        inputs: Mapping[str, DataType],
        group_by: GroupBy,
        only: frozenset[int] | None = None,
        offset: int = 0,
        deletes: bool = False,
    ) -> None:
        self.columns = [_column(part, inputs, group_by) for part in parts]
        self.width = len(self.columns)
        self._merges = [made.merge for made in self.columns]
        positions = {name: index for index, name in enumerate(inputs, start=offset)}
        chosen = range(self.width) if only is None else sorted(only)
        steps = [
            _Step(index, positions[part.input_column], positions.get(part.bucket or ""), column)
            for index in chosen
            for column in (self.columns[index],)
            for part in (column.part,)
        ]
        self.update = _adder(steps)
        self._undo = _adder([s._replace(column=s.column.undo) for s in steps if s.column.undo])
        self._undeletable = [step for step in steps if step.column.undo is None]
        self._refusing = [step for step in steps if step.column.refuse is not None]
        if deletes:
            self.update = _update_or_delete(self.update, self._undo, offset + len(inputs))

    def zero(self) -> Accumulator:
        """The accumulator of no rows."""
        return [None] * self.width

    @property
    def may_refuse(self) -> bool:
        """Whether any column may refuse a row, so that `refusal` must be called before `update`."""
        return bool(self._refusing)

    def refusal(self, accumulator: Accumulator, row: Row) -> str | None:
        """The reason why a row cannot be added, or None when it can.

        If `may_refuse`, call this before `update`, which would stop in the middle of the row.
        """
        for index, position, bucket, refusing in self._refusing:
            value, refuse = row[position], refusing.refuse
            if refuse and value is not None and (bucket is None or row[bucket] is not None):
                reason = refuse(accumulator[index], value)
                if reason is not None:
                    return f"{refusing.part.column}: {reason}"
        return None

    def delete(self, accumulator: Accumulator, row: Row, ts_ms: int) -> tuple[str, ...]:
        """Delete a row that was added, in place (`RowAggregator.delete`).

        A row may be deleted before it is added: COUNT is -1 in between. So the order of an entity's
        events does not matter.

        Returns:
            The columns that keep the row, because their operation cannot delete (LAST, MAX and
            others); Chronon keeps it silently. A column whose input or bucket is null is not among
            them.
        """
        self._undo(accumulator, row, ts_ms)
        return tuple(
            kept.part.column
            for _, position, bucket, kept in self._undeletable
            if row[position] is not None and (bucket is None or row[bucket] is not None)
        )

    def merge(self, a: Accumulator, b: Accumulator) -> Accumulator:
        """The union of both; only `a` is changed."""
        for index, merge in enumerate(self._merges):
            a[index] = merge(a[index], b[index])
        return a


def _column(part: AggregationPart, inputs: Mapping[str, DataType], group_by: GroupBy) -> Column:
    for name in (part.input_column, part.bucket):
        if name is not None and name not in inputs:
            raise GroupByError(
                f"{group_by.name}: {part.column} needs column {name!r}, which the query does not "
                f"give (it gives {', '.join(inputs)})"
            )
    bucket_type = inputs[part.bucket] if part.bucket is not None else None
    try:
        return column(part, inputs[part.input_column], bucket_type, group_by.dialect)
    except GroupByError as error:
        raise GroupByError(f"{group_by.name}: {error}") from error
