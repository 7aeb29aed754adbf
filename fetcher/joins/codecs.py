"""The Avro codecs of a join: of the columns of its left side, and of the columns that it gives out.

Source: `ai.chronon.online.fetcher.MetadataStore.buildJoinCodec` and `JoinCodec` of zipline.
"""

import re

from chronon_beam.aggregator.codecs import RecordCodec
from chronon_beam.aggregator.jvm.hashing import string_hash
from chronon_beam.aggregator.jvm.scala_order import scala_ordered
from chronon_beam.api.group_by import GroupByError
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.fetcher.joins.fetch import JoinFetcher
from chronon_beam.fetcher.joins.types import column_types, derived_types


def key_codec(fetcher: JoinFetcher) -> RecordCodec:
    """The codec of the columns of a join's left side."""
    name = f"{_clean(fetcher)}_key"
    return RecordCodec(name, fetcher.left_types, fetcher.join.dialect, "key column")


def value_codec(fetcher: JoinFetcher) -> RecordCodec:
    """The codec of the columns that a join gives out, and of those that they are derived of.

    The columns have the order of a Scala map, in which Chronon keeps them.

    Raises:
        GroupByError: a part has no fetcher, or Spark cannot evaluate the derivations.
    """
    join, derive = fetcher.join, fetcher.derive
    for name in (part.group_by.name for part in join.parts):
        found = fetcher.parts.get(name)
        if not isinstance(found, Fetcher):
            raise GroupByError(f"{join.name}: {found or f'GroupBy {name!r} is not known'}")
    if isinstance(derive, GroupByError):
        raise derive
    columns = column_types(join, fetcher.parts)
    derived = derived_types(join.derivations, columns, fetcher.left_types, derive)
    types = {**columns, **derived}
    ordered = {name: types[name] for name in scala_ordered(types, string_hash)}
    return RecordCodec(f"join_combined_{_clean(fetcher)}", ordered, join.dialect, "column")


def _clean(fetcher: JoinFetcher) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", fetcher.join.name)
