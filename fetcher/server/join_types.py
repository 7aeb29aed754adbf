"""The types of a join's columns.

Source: `ai.chronon.online.fetcher.MetadataStore.buildJoinCodec` of zipline.
"""

from chronon_beam.aggregator.codecs import RecordCodec
from chronon_beam.api.data_types import (
    BOOLEAN,
    BYTE,
    LONG,
    SHORT,
    DataType,
    DecimalType,
    ListType,
    MapType,
    StructType,
)
from chronon_beam.api.derivations import Derivation, own, rename_only
from chronon_beam.api.group_by import GroupByError
from chronon_beam.api.join import JoinPart
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.fetcher.joins.fetch import JoinFetcher

Types = dict[str, DataType]


def key_codec(fetcher: JoinFetcher) -> RecordCodec:
    """The codec of the columns of a join's left side."""
    name = f"{_clean(fetcher)}_key"
    return RecordCodec(name, fetcher.left_types, fetcher.join.dialect, "key column")


def value_codec(fetcher: JoinFetcher) -> RecordCodec:
    """The codec of what a join gives out.

    Raises:
        GroupByError: a part cannot be served, or Spark makes columns whose types are not known.
    """
    join, types = fetcher.join, _column_types(fetcher)
    if join.derivations:
        known = {**fetcher.left_types, **types}
        types = _renamed(join.name, join.derivations, join.output_names, known)
    return RecordCodec(f"join_derived_{_clean(fetcher)}", types, join.dialect, "column")


def _clean(fetcher: JoinFetcher) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in fetcher.join.name)


def _column_types(fetcher: JoinFetcher) -> Types:
    """The columns of all parts with their types, before the join's derivations."""
    of_parts = [part_types(fetcher, part) for part in fetcher.join.parts]
    of_parts += [part.types for part in fetcher.join.external_parts]
    return {name: kind for types in of_parts for name, kind in types.items()}


def part_types(fetcher: JoinFetcher, part: JoinPart) -> Types:
    """The columns of one part with their types; raises as `value_codec` does."""
    found = fetcher.parts.get(part.group_by.name)
    if not isinstance(found, Fetcher):
        raise GroupByError(f"{fetcher.join.name}: {found or 'a GroupBy is not in the store'}")
    group_by, columns = found.plan.group_by, found.plan.aggregator.columns
    types = {f.name: columns[f.tile_index].operation.output_type for f in group_by.features}
    if group_by.derivations:
        known = {**found.plan.keys.columns, **types}
        types = _renamed(group_by.name, group_by.derivations, group_by.output_names, known)
    return {name: types[feature] for name, feature in part.columns.items()}


def _renamed(
    name: str, derivations: tuple[Derivation, ...], outputs: tuple[str, ...], known: Types
) -> Types:
    if not rename_only(derivations):
        raise GroupByError(f"{name}: the types of columns that Spark derives are not known")
    expressions = {each.name: each.expression for each in own(derivations)}
    return {output: known[expressions.get(output, output)] for output in outputs}


_SPARK_NAMES = {LONG: "bigint", SHORT: "smallint", BYTE: "tinyint", BOOLEAN: "boolean"}


def spark_name(kind: DataType) -> str:
    """A type as Spark writes it.

    >>> spark_name(ListType("list", LONG))
    'array<bigint>'
    """
    if isinstance(kind, ListType):
        return f"array<{spark_name(kind.element)}>"
    if isinstance(kind, MapType):
        return f"map<{spark_name(kind.key)},{spark_name(kind.value)}>"
    if isinstance(kind, StructType):
        return f"struct<{','.join(f'{name}:{spark_name(each)}' for name, each in kind.fields)}>"
    if isinstance(kind, DecimalType):
        return f"decimal({kind.precision},{kind.scale})"
    return _SPARK_NAMES.get(kind, kind.name)
