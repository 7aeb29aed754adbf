"""Evaluates derivations that are Spark expressions, over the features of a fetch.

Source: `ai.chronon.online.DerivationUtils.buildDerivationFunctionWithSql`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.data_types import LONG, STRING, DataType
from chronon_beam.api.derivations import (
    TIME_COLUMNS,
    Derivation,
    projection,
    rename_only,
    renamed,
)
from chronon_beam.api.formats.arrow_types import from_arrow, to_arrow
from chronon_beam.api.group_by import GroupByError
from chronon_beam.transforms.spark.compiled_query import CompiledQuery, compile_query
from chronon_beam.transforms.spark.errors import QueryError
from chronon_beam.transforms.spark.query import SqlQuery


@dataclass(frozen=True)
class Derivable:
    """Features, and the derivations that are made of them.

    Attributes:
        name: the name of the GroupBy or join, for errors.
        columns: the types of the features, by name.
        keys: the types of the key columns, which expressions may use too.
        setups: statements of Spark SQL that the expressions need.
    """

    name: str
    derivations: Sequence[Derivation]
    columns: Mapping[str, DataType]
    keys: Mapping[str, DataType]
    setups: tuple[str, ...] = ()


def spark_derivations(plan: Plan) -> "SparkDerivations | None":
    """The function for `Fetcher.derive`; None if the derivations do not need Spark.

    Raises:
        GroupByError: Spark refuses an expression.
    """
    return derivations_of(derivable_of(plan))


def derivable_of(plan: Plan) -> Derivable:
    """The derivations of a GroupBy, with the features that they are made of."""
    group_by, setups = plan.group_by, plan.group_by.source.query.setups
    keys, features = plan.keys.columns, plan.output_types
    return Derivable(group_by.name, group_by.derivations, features, keys, setups)


def derivations_of(derivable: Derivable) -> "SparkDerivations | None":
    """Spark's derivations; None if all are renames. Raises as `spark_derivations` does."""
    if rename_only(derivable.derivations):
        return None
    times = dict(zip(TIME_COLUMNS, (LONG, STRING), strict=True))
    types = {**derivable.keys, **derivable.columns, **times}
    schema = pa.schema([(name, to_arrow(kind)) for name, kind in types.items()])
    names = projection(derivable.derivations, [*derivable.columns])
    query = SqlQuery(tuple(names.items()), (), derivable.setups, schema, tuple(names))
    try:
        compiled = compile_query(query)
    except QueryError as error:
        raise GroupByError(f"{derivable.name}: derivations: {error}") from error
    return SparkDerivations(derivable, schema, compiled)


class SparkDerivations:
    """Makes derived features of rows of keys, features, ts and ds.

    Attributes:
        types: the types of the derived features, by name.
    """

    def __init__(self, derivable: Derivable, schema: pa.Schema, compiled: CompiledQuery) -> None:
        self._derivable = derivable
        self._schema = schema
        self._compiled = compiled
        self.types = {field.name: from_arrow(field.name, field.type) for field in compiled.schema}

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
        derivations, names = self._derivable.derivations, [*self._derivable.columns]
        for index, reason in evaluated.failures:
            answers[index] = renamed(derivations, known[index], names)
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
