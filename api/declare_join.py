"""The Python API's words of joins: Chronon's words for what is fetched together.

>>> from chronon_beam.api.declare import Aggregation, EventSource, GroupBy, Query, Source, select
>>> from chronon_beam.api.dialect import Operation
>>> users = GroupBy(
...     name="shop.users",
...     sources=Source(events=EventSource(query=Query(
...         selects=select("user", "price"), time_column="ts"))),
...     keys=["user"],
...     aggregations=[Aggregation(input_column="price", operation=Operation.SUM)])
>>> checkout = Join(
...     name="shop.checkout",
...     right_parts=[JoinPart(group_by=users, key_mapping={"buyer": "user"}, prefix="buyer")])
>>> checkout.left_columns, checkout.columns
(('buyer',), ('buyer_shop_users_price_sum',))
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from chronon_beam.api import join_json
from chronon_beam.api.chronon.conf import Conf, to_conf
from chronon_beam.api.chronon.joins import ExternalWords
from chronon_beam.api.declare import CHOSEN
from chronon_beam.api.dialect import AIRBNB, Dialect, dialect
from chronon_beam.api.group_by import GroupBy, GroupByError
from chronon_beam.api.join import Join as JoinRecord
from chronon_beam.api.join import JoinPart as PartRecord
from chronon_beam.api.plugins import refuse_unknown
from chronon_beam.api.thrift_json import derivation

_WORDS = ExternalWords(AIRBNB)

ContextualSource = _WORDS.contextual_source
DataType = _WORDS.types
ExternalPart = _WORDS.external_part
ExternalSource = _WORDS.external_source

OFFLINE = (
    "additional_args",
    "additional_env",
    "bootstrap_from_log",
    "bootstrap_parts",
    "check_consistency",
    "cluster_conf",
    "conf",
    "consistency_sample_percent",
    "dependencies",
    "deprecation_date",
    "description",
    "env",
    "env_vars",
    "enable_stats_compute",
    "historical_backfill",
    "label_part",
    "lag",
    "left",
    "modular_execution",
    "offline_schedule",
    "online_schedule",
    "output_namespace",
    "production",
    "row_ids",
    "sample_percent",
    "skew_keys",
    "step_days",
    "table_properties",
    "tags",
    "version",
)
"""The parameters of Chronon's Join that its batch jobs alone read."""


def JoinPart(
    group_by: GroupBy,
    key_mapping: Mapping[str, str] | None = None,
    prefix: str | None = None,
) -> PartRecord:
    """A GroupBy whose features are columns of a join.

    Args:
        group_by: what is joined.
        key_mapping: columns of the left side to the keys that they are; other keys have their name.
        prefix: what the columns begin with.

    Raises:
        GroupByError: no GroupBy, or a mapping to what is no key of it.
    """
    if not isinstance(group_by, GroupBy):
        raise GroupByError(f"JoinPart: group_by: a GroupBy is expected, found {group_by!r}")
    where = f"JoinPart over {group_by.name or 'a GroupBy'}: key_mapping"
    mapping = join_json.key_mapping(dict(key_mapping or {}), group_by.keys, where)
    return PartRecord(group_by, mapping, prefix)


def Join(
    right_parts: Sequence[PartRecord] = (),
    *,
    online_external_parts: Sequence[object] | None = None,
    derivations: Sequence[object] | None = None,
    use_long_names: bool = False,
    online: bool = False,
    dialect: str | Dialect = AIRBNB,
    name: str = "",
    **offline: object,
) -> JoinRecord:
    """A join; without a name it takes that of its file and variable when it is loaded.

    Args:
        right_parts: made by `JoinPart`.
        online_external_parts: made by `ExternalPart`.
        derivations: made by `Derivation`, over the columns of all parts.
        use_long_names: see `Dialect.short_names`.
        online: whether it is marked for serving.
        dialect: whose join it is; with `right_parts`, that of their GroupBys.
        name: `team.file.variable` in Chronon.
        offline: `left` and the other parameters of Chronon's Join that batch jobs alone read.

    Raises:
        GroupByError: a contradiction, or a parameter that Chronon does not have.
    """
    try:
        refuse_unknown(dict.fromkeys(offline, ""), OFFLINE, "Join")
    except ValueError as error:
        raise GroupByError(str(error)) from None
    chosen = _dialect(right_parts, dialect)
    external = _confs(online_external_parts, chosen, "Join.online_external_parts")
    made = JoinRecord(
        name,
        tuple(replace(part, long_names=use_long_names) for part in right_parts),
        tuple(join_json.parse_external_part(*each, chosen) for each in external),
        tuple(derivation(*each) for each in _confs(derivations, chosen, "Join.derivations")),
        online,
        chosen,
    )
    # A GroupBy that has no name yet has one when its file has been read.
    named = all(part.group_by.name for part in right_parts)
    return join_json.validated_join(made, name or "Join") if named else made


def _confs(
    values: Sequence[object] | None, chosen: Dialect, where: str
) -> Iterator[tuple[Conf, str]]:
    for index, value in enumerate(values or ()):
        place = f"{where}[{index}]"
        yield to_conf(value, chosen, place), place


def _dialect(parts: Sequence[PartRecord], given: str | Dialect) -> Dialect:
    chosen = given if isinstance(given, Dialect) else dialect(given)
    dialects = [part.group_by.dialect for part in parts] or [CHOSEN.get() or chosen]
    for part in parts:
        if part.group_by.dialect is not dialects[0]:
            raise GroupByError(
                f"Join: {part.group_by.name or 'a GroupBy'} is in dialect "
                f"{part.group_by.dialect.name}, and another part in {dialects[0].name}: declare "
                "all of them in one"
            )
    return dialects[0]
