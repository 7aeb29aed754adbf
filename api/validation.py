"""Contradictions in a GroupBy, found before anything runs.

Source: `validate_group_by` of Chronon's Python API, in this project's words.
"""

from collections import Counter
from collections.abc import Collection, Sequence

from chronon_beam.api.derivations import TIME_COLUMNS, Derivation, own
from chronon_beam.api.dialect import OnlineStrategy
from chronon_beam.api.group_by import Accuracy, GroupBy, GroupByError


def validated(group_by: GroupBy, origin: str) -> GroupBy:
    """`group_by` itself when it can be run.

    Raises:
        GroupByError: the first contradiction, with field, value and remedy.
    """
    if not group_by.sources:
        raise GroupByError(f"{origin}: sources is empty: a GroupBy needs one events source")
    if not group_by.keys:
        raise GroupByError(f"{origin}: keyColumns is empty: name at least one key")
    twice = next((key for key in group_by.keys if group_by.keys.count(key) > 1), None)
    if twice is not None:
        raise GroupByError(f"{origin}: key {twice!r} is declared twice: name each key once")
    if group_by.is_lookup and group_by.is_streamed:
        raise GroupByError(
            f"{origin}: aggregations is empty: rows are looked up as they are in a snapshot of "
            "entities alone; name what to compute"
        )
    _check_windows(group_by, origin)
    _check_columns(group_by, origin)
    _check_names(group_by, origin)
    _check_derivations(group_by, origin)
    return group_by


def _check_windows(group_by: GroupBy, origin: str) -> None:
    for window in group_by.windows:
        if window.length < 1:
            raise GroupByError(
                f"{origin}: window length {window.length} ({window.timeUnit.name}): at least 1 is "
                "expected; leave windows out for an unbounded aggregation"
            )
        if window.timeUnit not in group_by.dialect.time_units.values():
            raise GroupByError(
                f"{origin}: window {window.suffix[1:]}: dialect {group_by.dialect.name} has no "
                f"{window.timeUnit.name}: choose a longer unit, or declare the GroupBy in dialect "
                "zipline"
            )


def _check_columns(group_by: GroupBy, origin: str) -> None:
    selects = group_by.source.query.selects
    if selects is None:
        return
    names = dict(selects)
    if "ts" in names:
        raise GroupByError(
            f"{origin}: selects has 'ts', which is reserved: give its expression as the "
            "query's time column instead"
        )
    wanted = {
        **dict.fromkeys(group_by.keys, "key"),
        **dict.fromkeys(group_by.aggregation_inputs, "input or bucket column"),
    }
    for column, role in wanted.items():
        if column not in names and column != "ts":
            raise GroupByError(
                f"{origin}: {role} {column!r} is not selected: add it to the query's selects "
                f"(selected are {', '.join(names)})"
            )


def _check_names(group_by: GroupBy, origin: str) -> None:
    counts = Counter(feature.name for feature in group_by.features)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise GroupByError(
            f"{origin}: feature {twice[0]!r} is declared {counts[twice[0]]} times: features are "
            "named by column, operation, window and bucket; remove the repetition or select the "
            "column under another name"
        )


def _check_derivations(group_by: GroupBy, origin: str) -> None:
    features = [feature.name for feature in group_by.features]
    if group_by.is_lookup:
        features = [name for name, _ in group_by.source.query.selects or ()]
    known = {*features, *group_by.keys, *TIME_COLUMNS}
    others = f"which is neither a feature nor a key (features are {', '.join(features)})"
    check_derivations(group_by.derivations, known, others, origin)


def check_derivations(
    derivations: Sequence[Derivation], known: Collection[str], others: str, origin: str
) -> None:
    """Refuse derivations that cannot be evaluated.

    Args:
        derivations: of a GroupBy or a join.
        known: the names that a rename may be of.
        others: for the error, what all other names are, such as "which is not a feature".
        origin: what errors call the declaration.

    Raises:
        GroupByError: two derivations of one name, one without an expression, or a rename of a name
            that is not known.
    """
    counts = Counter(each.name for each in derivations)
    if twice := next((name for name, count in counts.items() if count > 1), None):
        raise GroupByError(
            f"{origin}: derivation {twice!r} is declared {counts[twice]} times: give each of them "
            "a name of its own"
        )
    for each in own(derivations):
        if not each.expression.strip():
            raise GroupByError(
                f"{origin}: derivation {each.name!r} has no expression: give one, or leave it out"
            )
        if each.is_rename and each.expression not in known:
            raise GroupByError(
                f"{origin}: derivation {each.name!r} is of {each.expression!r}, {others}"
            )


def require_computable(group_by: GroupBy) -> None:
    """Raise GroupByError for a GroupBy that is loaded, and neither computed nor read here."""
    _require_rows(group_by)
    _require_aggregations(group_by)
    _require_default_strategy(group_by)


def _require_rows(group_by: GroupBy) -> None:
    """Raise GroupByError unless the streamed source is one of events or entities."""
    if group_by.source.kind not in ("events", "entities"):
        raise GroupByError(
            f"{group_by.name}: its source is a join, whose events Chronon enriches with the "
            "features of the join before it aggregates them: this is not here yet; a GroupBy over "
            "events or entities can be run"
        )


def _require_aggregations(group_by: GroupBy) -> None:
    """Raise GroupByError for a GroupBy of which Chronon serves the rows of a snapshot."""
    if group_by.is_lookup:
        raise GroupByError(
            f"{group_by.name}: it has no aggregations: Chronon uploads the rows of its snapshot "
            "and serves them as they are, which is not here yet; aggregate each column by LAST "
            "(aggregations=DefaultAggregation(keys, [source]), and a time_column), and name the "
            "features by derivations"
        )


def _require_default_strategy(group_by: GroupBy) -> None:
    """Raise GroupByError for a GroupBy of zipline's that is not served from ordinary tiles."""
    strategy = group_by.conf.get("onlineStrategy") or OnlineStrategy.DEFAULT.value
    if strategy not in (OnlineStrategy.DEFAULT.value, OnlineStrategy.DEFAULT.name):
        name = strategy if isinstance(strategy, str) else OnlineStrategy(strategy).name
        raise GroupByError(
            f"{group_by.name}: onlineStrategy is {name}, which zipline serves in another way than "
            "by tiles or rows: this is not here yet; leave it out for ordinary tiles"
        )


def require_all_keys(group_by: GroupBy) -> None:
    """Raise GroupByError for batch values that zipline limits to the keys of a table."""
    if group_by.conf.get("keyFilter"):
        raise GroupByError(
            f"{group_by.name}: keyFilter limits which keys are uploaded, by a table that is not "
            "read here: leave it out, and all keys are uploaded"
        )


def require_temporal(group_by: GroupBy) -> None:
    """Raise GroupByError for features that only batch jobs make."""
    if group_by.accuracy is Accuracy.SNAPSHOT:
        raise GroupByError(
            f"{group_by.name}: accuracy is SNAPSHOT: such features are made by `chronon-beam "
            "upload` alone; set accuracy to TEMPORAL to stream them"
        )
