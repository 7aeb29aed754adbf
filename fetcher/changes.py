"""What a job changes about a GroupBy whose data is in the store, and what it may not change.

A job that continues a dataset may declare other aggregations and windows than the job before it.
Its tiles are then a new version (`aggregator.versions`), and each tile is read with the columns of
its own version. Everything else that tiles depend on must stay the same.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from chronon_beam.aggregator.plan import Plan
from chronon_beam.aggregator.versions import (
    MOST_VERSIONS,
    TileColumn,
    TileVersion,
    columns_of,
    next_versions,
)
from chronon_beam.api.group_by import Feature, GroupBy, GroupByError, Query
from chronon_beam.fetcher.batch_info import METADATA
from chronon_beam.fetcher.readable_store import ReadableStore, WritableStore
from chronon_beam.fetcher.serving_info import (
    ServingInfo,
    StoredInfo,
    check_together,
    families,
    stored_batch,
    stored_info,
    write,
)


class FormerRuns(NamedTuple):
    """What a job keeps of the runs before it.

    Attributes:
        data: whether their tiles or rows stay in the dataset.
        state: whether the job continues with the state of the last of them.
        query: whether the job's query must give the same rows and values as theirs.
    """

    data: bool = True
    state: bool = False
    query: bool = False


DATA_STAYS = FormerRuns()
"""The data of the former runs stays, which may be runs over other files."""


@dataclass(frozen=True)
class Takeover:
    """How a job continues a dataset.

    Attributes:
        info: the job's note, with the versions of the tiles in the dataset.
        added: features that the job before it did not have.
        removed: names of features that only the job before it had.
        filled: names of added features whose tile column is in earlier tiles already.
    """

    info: ServingInfo
    added: tuple[Feature, ...] = ()
    removed: tuple[str, ...] = ()
    filled: frozenset[str] = frozenset()

    def notes(self) -> list[str]:
        """Sentences for the user."""
        lines = [self._sentence(feature) for feature in self.added]
        if self.removed:
            lines.append(f"no longer computed: {', '.join(self.removed)}")
        return lines

    def _sentence(self, feature: Feature) -> str:
        if feature.name in self.filled:
            return f"{feature.name} is new, over tiles that hold it already as far as they reach"
        window = feature.part.window
        whole = f", and is whole in {window.suffix[1:]}" if window else ""
        return f"{feature.name} is new: it counts from now on{whole}; an upload gives the rest"


def change_of(store: ReadableStore, info: ServingInfo, former: FormerRuns) -> Takeover:
    """How a job with this note continues its dataset.

    Raises:
        GroupByError: the job cannot continue the dataset; the message names what has changed.
    """
    group_by = info.plan.group_by
    try:
        stored = stored_info(store, group_by) if former.data else None
        batch = stored_batch(store, group_by)
    except FileNotFoundError:
        stored = batch = None  # the store is made by the first write
    if batch is not None:
        check_together(info, batch)
    if stored is None:
        return Takeover(info.with_versions(info.versions))
    _check_form(stored, info)
    _check_continuation(stored, info, former)
    return _changed_tiles(stored, info) if info.tiled else _changed_rows(stored, info)


def save(store: WritableStore, info: ServingInfo, former: FormerRuns = DATA_STAYS) -> ServingInfo:
    """Write the note of a job, with the versions of the dataset's tiles; returns what is written.

    Raises:
        GroupByError: as `change_of`, or the store cannot be written.
    """
    store.create(METADATA)
    known = change_of(store, info, former).info
    write(store, known)
    return known


def check_declared(
    store: ReadableStore, group_by: GroupBy, tiled: bool, layout: str, former: FormerRuns
) -> None:
    """Refuse what `change_of` would refuse, as far as that is known without the source's types.

    Raises:
        GroupByError: the job cannot continue the dataset.
    """
    try:
        stored = stored_info(store, group_by)
    except FileNotFoundError:
        return  # the store is made by the first write
    if stored is None:
        return
    info = ServingInfo(Plan(group_by, stored.types, layout), tiled)
    if any(name not in stored.types for name in group_by.keys):
        raise _refused(group_by, f"keys {', '.join(group_by.keys)}, and not those of the store")
    _check_form(stored, info)
    if former.query:
        _check_query(stored, group_by)
    if all(name in stored.types for name in group_by.aggregation_inputs):
        _changed_tiles(stored, info) if tiled else _changed_rows(stored, info)


_WAY_OUT = (
    "rename the GroupBy, use another store, or have what is there dropped with --existing=replace "
    "and no savepoint"
)


def _refused(group_by: GroupBy, what: str) -> GroupByError:
    return GroupByError(f"{group_by.name}: {what}: the two cannot be read together; {_WAY_OUT}")


def _differs(group_by: GroupBy, field: str, was: object, becomes: object) -> GroupByError:
    return _refused(
        group_by, f"the store holds data with {field} {was}, this job would write {becomes}"
    )


def _check_form(stored: StoredInfo, info: ServingInfo) -> None:
    """Refuse a job that would write tiles or rows of another form."""
    plan, group_by = info.plan, info.plan.group_by
    now = {
        "tiling": (stored.tiling, "tiled" if info.tiled else "untiled"),
        "layout": (stored.layout, plan.layout),
        "dialect": (stored.dialect, group_by.dialect.name),
    }
    for field, (was, becomes) in now.items():
        if was != becomes:
            raise _differs(group_by, field, was, becomes)
    if stored.key_schema != plan.keys.schema:
        raise _differs(group_by, "keys", _fields(stored.key_schema), _fields(plan.keys.schema))
    sizes = [spec.size_ms for spec in plan.specs] if info.tiled else []
    overlap = stored.versions and stored.families(group_by) != families(plan)
    if sizes != stored.tile_sizes_ms or overlap:
        raise _differs(group_by, "tile_sizes_ms", stored.tile_sizes_ms, sizes)


def _fields(schema: Mapping[str, object]) -> str:
    fields = schema["fields"]
    assert isinstance(fields, list)
    return ", ".join(f"{each['name']} {each['type'][1]}" for each in fields)


def _check_continuation(stored: StoredInfo, info: ServingInfo, former: FormerRuns) -> None:
    """Refuse a job whose state, or whose rows, would not be those of the job before it."""
    group_by = info.plan.group_by
    if former.query:
        _check_query(stored, group_by)
    if former.state and None not in (stored.shards, info.shards) and stored.shards != info.shards:
        raise GroupByError(
            f"{group_by.name}: --shards={info.shards}: the state of the savepoint is in "
            f"{stored.shards} parts, and would not be found: give --shards={stored.shards}"
        )
    if former.state and info.tiled and stored.versions:
        last = stored.versions[-1]
        before = Plan(replace(group_by, aggregations=last.aggregations), last.types).aggregator
        # A column that may refuse a row adds steps to the job; a savepoint has no state of them.
        if before.may_refuse != info.plan.aggregator.may_refuse:
            element = "an aggregation element by element"
            was, becomes = (element, "none") if before.may_refuse else ("none", element)
            raise _differs(group_by, "columns that may refuse a row", was, becomes)


def _changed_tiles(stored: StoredInfo, info: ServingInfo) -> Takeover:
    plan, group_by = info.plan, info.plan.group_by
    if not stored.versions and stored.schema != plan.tiles.schema:
        raise _differs(group_by, "schema", "another", "this")
    versions = stored.versions or (TileVersion.first(group_by, plan.types),)
    last, columns = versions[-1], columns_of(group_by, plan.types)
    _check_columns(last.columns, columns, group_by)
    if plan.layout == "sliding":
        _check_sliding(versions, columns, group_by)
    following = next_versions(versions, group_by, plan.types, plan.layout)
    if len(following) > MOST_VERSIONS:
        raise _refused(group_by, f"its tiles have changed {MOST_VERSIONS - 1} times already")
    names = {part.column for part in last.features}
    added = tuple(each for each in group_by.features if each.name not in names)
    known = {each.part for each in last.columns} if plan.layout == "tumbling" else set()
    parts = group_by.tile_parts
    return Takeover(
        info.with_versions(following),
        added,
        tuple(dict.fromkeys(names - {each.name for each in group_by.features})),
        frozenset(each.name for each in added if parts[each.tile_index] in known),
    )


def _check_columns(was: list[TileColumn], becomes: list[TileColumn], group_by: GroupBy) -> None:
    """Refuse a column whose name stays while its aggregation or a type changes."""
    removed = [each for each in was if each not in becomes]
    for new in (each for each in becomes if each not in was):
        for old in removed:
            if old.part.column == new.part.column and old[:3] != new[:3]:
                raise _differs(group_by, "aggregation", old.text, new.text)


def _check_sliding(
    versions: tuple[TileVersion, ...], columns: list[TileColumn], group_by: GroupBy
) -> None:
    """Refuse changes after which a reader of layout `sliding` could not tell old tiles from new."""
    *former, last = versions
    twice = next((each for each in (*columns, *last.columns) if each.occurrence), None)
    if twice is not None and columns != last.columns:
        raise _refused(group_by, f"{twice.part.column} is aggregated twice, and columns change")
    removed = {part for each in former for part in each.features} - set(last.features)
    back = next((each.name for each in group_by.features if each.part in removed), None)
    if back is not None:
        raise _refused(group_by, f"{back} was removed before, and the tiles in between lack it")


def _changed_rows(stored: StoredInfo, info: ServingInfo) -> Takeover:
    group_by = info.plan.group_by
    if stored.schema != info.plan.rows.schema:
        was, becomes = _fields(stored.schema), _fields(info.plan.rows.schema)
        raise _differs(group_by, "rows of columns", was, becomes)
    return Takeover(info)


def _check_query(stored: StoredInfo, group_by: GroupBy) -> None:
    """Refuse a query that gives other rows, or other values of the columns that stay."""
    was, becomes = stored.query, group_by.source.query
    if was is None:
        return  # a note of an earlier version, for which any change of columns is refused
    plain = {
        "source of": (stored.kind, group_by.source.kind),
        "wheres": (was.wheres, becomes.wheres),
        "setups": (was.setups, becomes.setups),
        "time column": (was.time_column, becomes.time_column),
        "mutation time column": (was.mutation_time_column, becomes.mutation_time_column),
        "reversal column": (was.reversal_column, becomes.reversal_column),
    }
    for field, (old, new) in plain.items():
        if old != new:
            raise _differs(group_by, field, old, new)
    for name in _other_selects(was, becomes):
        old, new = _text(was, name), _text(becomes, name)
        used = _use_of(name, was, stored, group_by)
        if used is not None:
            raise _differs(group_by, f"select {name} ({used})", old, new)
        if _GENERATORS.search(f"{old} {new}"):
            raise _differs(group_by, f"select {name} (which makes rows)", old, new)


_GENERATORS = re.compile(
    r"\b(explode|posexplode|inline|explode_outer|posexplode_outer|inline_outer|stack|json_tuple|"
    r"variant_explode|variant_explode_outer|collations|sql_keywords)\s*\(",
    re.IGNORECASE,
)
"""Spark's functions that make several rows of one: another number of rows changes all counts."""


def _other_selects(was: Query, becomes: Query) -> list[str]:
    """The names for which two queries have other expressions."""
    names = dict.fromkeys(name for query in (was, becomes) for name, _ in query.selects or ())
    return [name for name in names if _text(was, name) != _text(becomes, name)]


def _text(query: Query, name: str) -> str:
    """The expression of a name in a query: the event's own column if it is not selected."""
    return dict(query.selects or ()).get(name, name).strip().strip("`")


def _use_of(name: str, was: Query, stored: StoredInfo, group_by: GroupBy) -> str | None:
    """What depends on a name and must stay the same; None if nothing does."""
    query, inputs = group_by.source.query, set(group_by.aggregation_inputs)
    if name in group_by.keys:
        return "a key"
    # In a dataset of rows, all columns stay.
    if name in (inputs & set(stored.versions[-1].types) if stored.versions else inputs):
        return "an input of aggregations that stay"
    times = (query.time_column, query.mutation_time_column, query.reversal_column)
    same = [text for other, text in query.selects or () if _text(was, other) == text]
    mentioned = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)
    for text in (*query.wheres, *(each for each in times if each), *same):
        if mentioned.search(text):
            return f"named in {text!r}"
    return None
