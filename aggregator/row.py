"""All columns of a tile together: Chronon's `RowAggregator`.

An accumulator is a list with one IR a column, None where nothing was seen.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from chronon_beam.aggregator.columns import Column, column
from chronon_beam.api.data_types import DataType
from chronon_beam.api.group_by import AggregationPart, GroupBy, GroupByError

Accumulator = list[Any]
Row = Sequence[Any]


class RowAggregator:
    """Adds rows to accumulators and merges accumulators.

    Args:
        parts: the columns.
        inputs: the row's columns in order, with their types.
        group_by: gives dialect and name.
        only: indices of the columns that rows are added to; the others stay None. All by default.
        offset: how many values stand before the inputs in a row.

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
    ) -> None:
        self.columns = [_column(part, inputs, group_by) for part in parts]
        self.width = len(self.columns)
        self._merges = [column.merge for column in self.columns]
        positions = {name: index for index, name in enumerate(inputs, start=offset)}
        chosen = range(self.width) if only is None else sorted(only)
        self._direct = [
            (i, positions[self.columns[i].part.input_column], self.columns[i].update)
            for i in chosen
            if self.columns[i].part.bucket is None
        ]
        self._bucketed = [
            (i, positions[part.input_column], positions[part.bucket], self.columns[i].update)
            for i in chosen
            if (part := self.columns[i].part).bucket is not None
        ]

    def zero(self) -> Accumulator:
        """An accumulator that has seen nothing."""
        return [None] * self.width

    def update(self, accumulator: Accumulator, row: Row, ts_ms: int) -> None:
        """Add one row, its values in the order of `inputs`. Nulls, and null buckets, add nothing."""
        for index, position, update in self._direct:
            value = row[position]
            if value is not None:
                accumulator[index] = update(accumulator[index], value, ts_ms)
        for index, position, bucket_position, update in self._bucketed:
            value, bucket = row[position], row[bucket_position]
            if value is not None and bucket is not None:
                accumulator[index] = update(accumulator[index], value, bucket, ts_ms)

    def merge(self, a: Accumulator, b: Accumulator) -> Accumulator:
        """The union of both; changes `a` only."""
        for index, merge in enumerate(self._merges):
            a[index] = merge(a[index], b[index])
        return a


def _column(
    part: AggregationPart, inputs: Mapping[str, DataType], group_by: GroupBy
) -> Column:
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
