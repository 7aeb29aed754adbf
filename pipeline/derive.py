"""Has Spark evaluate the derivations of fetched features that are Spark expressions.

Source: `ai.chronon.online.DerivationUtils.buildDerivationFunctionWithSql`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.data_types import LONG, STRING, DataType, to_arrow
from chronon_beam.api.derivations import TIME_COLUMNS, projection, rename_only, renamed
from chronon_beam.api.group_by import GroupByError
from chronon_beam.fetcher.fetch import Derive
from chronon_beam.transforms.spark.compiled_query import CompiledQuery, compile_query
from chronon_beam.transforms.spark.errors import QueryError
from chronon_beam.transforms.spark.query import SqlQuery


def spark_derivations(plan: Plan) -> Derive | None:
    """The function for `Fetcher.derive`; None if the derivations do not need Spark.

    Raises:
        GroupByError: Spark refuses an expression.
    """
    if rename_only(plan.group_by.derivations):
        return None
    types = _types(plan)
    schema = pa.schema([(name, to_arrow(kind)) for name, kind in types.items()])
    names = projection(plan.group_by.derivations, [f.name for f in plan.group_by.features])
    setups = plan.group_by.source.query.setups
    query = SqlQuery(tuple(names.items()), (), setups, schema, tuple(names))
    try:
        compiled = compile_query(query)
    except QueryError as error:
        raise GroupByError(f"{plan.group_by.name}: derivations: {error}") from error
    return _Derivations(plan, schema, compiled)


def _types(plan: Plan) -> dict[str, DataType]:
    columns = plan.aggregator.columns
    features = {
        feature.name: columns[feature.tile_index].operation.output_type
        for feature in plan.group_by.features
    }
    return {**plan.keys.columns, **features, **dict(zip(TIME_COLUMNS, (LONG, STRING), strict=True))}


class _Derivations:
    """Makes derived features of rows of keys, features, ts and ds."""

    def __init__(self, plan: Plan, schema: pa.Schema, compiled: CompiledQuery) -> None:
        self._plan = plan
        self._schema = schema
        self._compiled = compiled

    def __call__(self, known: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Derived features; where Spark fails, the renames and `derivation_fetch_exception`."""
        columns = [
            pa.array([_items(row.get(field.name)) for row in known], field.type)
            for field in self._schema
        ]
        batch = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        evaluated = self._compiled.evaluate(batch)
        answers: list[dict[str, Any]] = [{} for _ in known]
        for index, row in zip(evaluated.events, evaluated.rows.to_pylist(), strict=True):
            answers[index] = {
                name: _mapped(value, evaluated.rows.schema.field(name).type)
                for name, value in row.items()
            }
        group_by = self._plan.group_by
        for index, reason in evaluated.failures:
            names = [feature.name for feature in group_by.features]
            answers[index] = renamed(group_by.derivations, known[index], names)
            answers[index]["derivation_fetch_exception"] = reason
        return answers


def _items(value: Any) -> Any:
    """A value with its maps as lists of pairs, which is how Arrow takes maps."""
    if isinstance(value, dict):
        return [(key, _items(item)) for key, item in value.items()]
    return [_items(item) for item in value] if isinstance(value, list) else value


def _mapped(value: Any, kind: pa.DataType) -> Any:
    """A value with its maps as dicts; Arrow gives maps as lists of pairs."""
    if value is None:
        return None
    if pa.types.is_map(kind):
        return {key: _mapped(item, kind.item_type) for key, item in value}
    if pa.types.is_list(kind):
        return [_mapped(item, kind.value_type) for item in value]
    if pa.types.is_struct(kind):
        return {field.name: _mapped(value[field.name], field.type) for field in kind}
    return value
