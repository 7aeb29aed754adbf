"""The Python API: Chronon's words in its order of parameters, for those who have no Chronon.

The words are airbnb's; with `dialect="zipline"` a GroupBy takes what zipline's does.

>>> from chronon_beam.api import (
...     Aggregation, EventSource, GroupBy, Operation, Query, Source, TimeUnit, Window, select)
>>> cones = GroupBy(
...     name="shop.cones",
...     sources=Source(events=EventSource(query=Query(
...         selects=select(customer_id="customer_id"), time_column="created"))),
...     keys=["customer_id"],
...     aggregations=[Aggregation(
...         input_column="customer_id", operation=Operation.COUNT,
...         windows=[Window(length=6, timeUnit=TimeUnit.HOURS)])])
>>> [feature.name for feature in cones.features]
['customer_id_count_6h']
"""

from collections.abc import Sequence
from contextvars import ContextVar
from copy import deepcopy

from chronon_beam.api.chronon import airbnb, zipline
from chronon_beam.api.chronon.conf import to_conf
from chronon_beam.api.dialect import AIRBNB, ZIPLINE, Dialect, dialect
from chronon_beam.api.group_by import GroupBy as Record
from chronon_beam.api.thrift_json import parse_conf

Aggregation = airbnb.Aggregation
Aggregations = airbnb.Aggregations
DefaultAggregation = airbnb.DefaultAggregation
Derivation = airbnb.Derivation
EntitySource = airbnb.STRUCT["EntitySource"]
EventSource = airbnb.STRUCT["EventSource"]
JoinSource = airbnb.STRUCT["JoinSource"]
Query = airbnb.Query
Source = airbnb.STRUCT["Source"]
select = airbnb.select

CHOSEN: ContextVar[Dialect | None] = ContextVar("CHOSEN", default=None)
"""The dialect that the user chose for the file that is being loaded, whatever the file says."""

_WORDS = {AIRBNB.name: airbnb.GroupBy, ZIPLINE.name: zipline.GroupBy}


def GroupBy(
    sources: object,
    keys: Sequence[str],
    aggregations: Sequence[object] | None,
    *more: object,
    dialect: str | Dialect = AIRBNB,
    name: str = "",
    **named: object,
) -> Record:
    """A GroupBy; without a name it takes that of its file and variable when it is loaded.

    Args:
        sources: one source or several.
        keys: names of columns.
        aggregations: made by `Aggregation`.
        more: the parameters of Chronon's GroupBy that follow, in its order.
        dialect: whose GroupBy it is.
        name: `team.file.variable` in Chronon.
        named: the parameters of Chronon's GroupBy, by name.

    Raises:
        GroupByError: a contradiction, or what Chronon refuses.
    """
    chosen = CHOSEN.get() or _dialect(dialect)
    # Chronon completes the selects of a source; other GroupBys over it must not see that.
    given = deepcopy(sources) if isinstance(sources, list) else deepcopy([sources])
    made = _WORDS[chosen.name](given, list(keys), aggregations, *more, **named)
    made.metaData.name = name or None
    return parse_conf(to_conf(made, chosen, "GroupBy"), chosen, name or "GroupBy")


def _dialect(given: str | Dialect) -> Dialect:
    return given if isinstance(given, Dialect) else dialect(given)
