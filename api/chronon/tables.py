"""Names of the tables that Chronon's batch jobs write: definitions read from one another's.

Source: `ai.chronon.utils` of both dialects, and their `.table` properties.
"""

import json
import re
import sys
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from chronon_beam.api.chronon.other import Other
from chronon_beam.api.chronon.structs import STRUCTS, Struct
from chronon_beam.api.dialect import AIRBNB, ZIPLINE, Dialect
from chronon_beam.api.group_by import GroupByError

ROOT: ContextVar[Path | None] = ContextVar("ROOT", default=None)
"""The folder of the Chronon repository whose file is being loaded."""

NAMESPACE = "_chronon_namespace_placeholder_"
"""Where zipline's tables have the namespace of a team, until they are compiled."""

_NAMESPACE = {AIRBNB.name: "{{ db }}", ZIPLINE.name: NAMESPACE}
_ALIASES = {
    "right_parts": "joinParts",
    "group_by": "groupBy",
    "key_mapping": "keyMapping",
    "online_external_parts": "onlineExternalParts",
    "use_long_names": "useLongNames",
}


class Producer(Other):
    """A join or a staging query: its output table may be read from."""

    metaData: Any

    @property
    def table(self) -> str:
        """The table that zipline's batch jobs write for it."""
        return table_of(self, ZIPLINE)


class JoinProducer(Producer):
    """A join, which is also fetched."""


def producer(
    name: str, dialect: Dialect, *first: str, made_as: type[Producer] = Producer
) -> Struct:
    """A word of Chronon that makes something whose output table can be named.

    Args:
        name: the full name, for example `ai.chronon.join.Join`.
        dialect: whose word it is.
        first: names of the parameters that may be given without them.
        made_as: what the word makes.
    """

    def word(*values: object, **named: object) -> Producer:
        given = {**dict(zip(first, values, strict=False)), **named}
        made = made_as(name, **{_ALIASES.get(key, key): value for key, value in given.items()})
        if "metaData" not in given:
            version = given.get("version")
            fields = {"name": given.get("name"), "outputNamespace": given.get("output_namespace")}
            if version is not None:
                fields["version"] = str(version)
            made.metaData = STRUCTS[dialect.name]["MetaData"](**fields)
        return made

    return word


def set_name(definition: Struct, folder: str, dialect: Dialect) -> None:
    """Name a definition after the module and the variable that hold it: `team.file.variable`.

    Of several modules airbnb takes the first that began to load, which may have imported it;
    zipline, which loads all files of a repository in order, the one that declares it.

    Args:
        definition: anything with `metaData`.
        folder: where such definitions live, for example `staging_queries`.
        dialect: whose name it is.
    """
    held = {
        name: variable
        for name, module in list(sys.modules.items())
        for variable, value in list(getattr(module, "__dict__", {}).items())
        if value is definition and "." in name and not name.startswith("chronon_beam.")
    }
    fitting = [name for name in held if name.startswith(f"{folder}.")] or list(held)
    if fitting:
        module = fitting[0 if dialect is AIRBNB else -1]
        definition.metaData.name = qualified(module, held[module], definition.metaData)


def qualified(module: str, variable: str, meta: Struct | None) -> str:
    """Chronon's name of a definition: without the module's first folder; zipline's with version."""
    version = getattr(meta, "version", None)
    suffix = "" if version is None else f"__{version}"
    return f"{module.partition('.')[2]}.{variable}{suffix}"


def table_of(definition: Any, dialect: Dialect, full: bool = True) -> str:
    """The output table of a definition, which is named first if it has no name.

    Raises:
        GroupByError: no variable of a loaded file holds the definition.
    """
    if not definition.metaData.name:
        set_name(definition, "group_bys" if isinstance(definition, Struct) else "", dialect)
    name = definition.metaData.name
    if not name:
        raise GroupByError(
            "the output table of a definition is asked for that no variable holds: assign it first"
        )
    table = re.sub(r"[^a-zA-Z0-9_]", "_", name)
    namespace = definition.metaData.outputNamespace or _NAMESPACE[dialect.name]
    return f"{namespace}.{table}" if full else table


def staging_query_table(staging_query: Struct, full_name: bool = False) -> str:
    """The table of a staging query, as airbnb names it."""
    set_name(staging_query, "staging_queries", AIRBNB)
    return table_of(staging_query, AIRBNB, full_name)


def staging_query_view(staging_query: Struct) -> str:
    """The table of a staging query that is read as a source, as airbnb names it."""
    meta = staging_query.metaData
    if meta.outputNamespace and meta.name:
        return f"{meta.outputNamespace}.{meta.name}"
    table, root = staging_query_table(staging_query, full_name=True), ROOT.get()
    if "{{ db }}" not in table or root is None:
        return table
    namespace = team_setting(root, meta.name.partition(".")[0], "namespace")
    return table.replace("{{ db }}", namespace)


def staging_query_events(
    staging_query: Struct, query: Struct, is_cumulative: bool = False
) -> Struct:
    """A source of events that are the rows of a staging query."""
    struct = STRUCTS[AIRBNB.name]
    table = staging_query_view(staging_query)
    events = struct["EventSource"](table=table, query=query, isCumulative=is_cumulative)
    return struct["Source"](events=events)


def staging_query_entities(staging_query: Struct, query: Struct) -> Struct:
    """A source of entities that are the rows of a staging query."""
    struct = STRUCTS[AIRBNB.name]
    table = staging_query_view(staging_query)
    return struct["Source"](entities=struct["EntitySource"](snapshotTable=table, query=query))


def staging_query_waits(staging_query: Struct, lag: int = 0) -> list[str]:
    """What a batch job waits for before it reads the view of a staging query, whatever its lag."""
    table = staging_query_view(staging_query)
    namespace = table.partition(".")[0]
    return [f"{namespace}.chronon_signal_partitions/ds={{{{ ds }}}}/table_name={table}"]


def group_by_table(group_by: Struct, full_name: bool = False) -> str:
    """The table of a GroupBy's backfill, as airbnb names it."""
    return table_of(group_by, AIRBNB, full_name)


def join_table(join: Struct, full_name: bool = True) -> str:
    """The table of a join's backfill, in its team's namespace, as airbnb names it."""
    set_name(join, "joins", AIRBNB)
    if not join.metaData.outputNamespace and (root := ROOT.get()):
        team = join.metaData.name.partition(".")[0]
        join.metaData.outputNamespace = team_setting(root, team, "namespace")
    return table_of(join, AIRBNB, full_name)


def join_part_table(join: Struct, part: Struct, full_name: bool = False) -> str:
    """The table of one part of a join's backfill, as airbnb names it."""
    prefix = [part.prefix] if isinstance(part.prefix, str) else []
    return "_".join([table_of(join, AIRBNB, full_name), *prefix, group_by_table(part.groupBy)])


def team_setting(root: Path, team: str, key: str) -> Any:
    """What airbnb's `teams.json` says of a team, else of all teams; None without such a file.

    Raises:
        GroupByError: the file does not know the team.
    """
    file = root / "teams.json"
    if not file.is_file():
        return None
    teams = json.loads(file.read_text(encoding="utf-8"))
    if team not in teams:
        raise GroupByError(f"{file}: no team {team!r}: add it, as Chronon's compiler needs it")
    return teams[team].get(key, teams.get("default", {}).get(key))
