"""From what a file declares to what Chronon's compiler writes of it.

Source: `ai.chronon.repo.compile` of chronon-ai, `ai.chronon.cli.compile` of zipline-ai.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chronon_beam.api.chronon import hashes, teams, waits
from chronon_beam.api.chronon.conf import Conf, to_conf
from chronon_beam.api.chronon.objections import objections
from chronon_beam.api.chronon.repository import Definition
from chronon_beam.api.chronon.structs import STRUCTS
from chronon_beam.api.chronon.tables import NAMESPACE, team_setting
from chronon_beam.api.dialect import AIRBNB, ZIPLINE, Dialect
from chronon_beam.api.group_by import GroupBy, GroupByError


@dataclass(frozen=True)
class CompilerOutput:
    """What Chronon's compiler writes of a GroupBy.

    Attributes:
        conf: the object of Thrift JSON.
        sorts_fields: whether the compiler writes fields in the order of their names.
        objections: sentences about what the compiler objects to, and about what is left out.
    """

    conf: Conf
    sorts_fields: bool
    objections: list[str]


def named_conf(definition: Definition, dialect: Dialect) -> Conf:
    """The conf of a declared GroupBy under Chronon's name, without what its team adds.

    Raises:
        GroupByError: a field of another type than Chronon's; or a source's table is named after a
            namespace that `teams.py` does not have.
    """
    value: Any = definition.value
    if isinstance(value, GroupBy):
        conf = (value if value.name else value.named(definition.name)).to_thrift()
    else:
        conf = to_conf(value, dialect, definition.variable)
    name = conf["metaData"].get("name") if isinstance(value, GroupBy) else definition.name
    meta = {**conf["metaData"], "name": name, "team": str(name).partition(".")[0]}
    conf = {**conf, "metaData": meta}
    if definition.root is not None and NAMESPACE in json.dumps(conf):
        return _with_namespace(conf, teams.namespace_of(meta, definition.root))
    return conf


def compile_definition(definition: Definition, dialect: Dialect) -> CompilerOutput:
    """What Chronon's compiler writes of a declared GroupBy.

    Raises:
        GroupByError: a field of another type than Chronon's, a team that is not known, or a join
            as the source, which Chronon's own compiler alone can compile.
    """
    conf = named_conf(definition, dialect)
    if any("joinSource" in source for source in conf["sources"]):
        raise GroupByError(
            f"{definition.file}:{definition.variable}: its source is a join, which Chronon's own "
            "compiler alone can compile"
        )
    if dialect is not ZIPLINE:
        conf = _as_airbnb(conf, definition.root)
        return CompilerOutput(conf, sorts_fields=False, objections=objections(conf, dialect))
    conf = _as_zipline(conf, definition)
    found = objections(conf, dialect)
    if definition.root and (unknown := teams.unknown_settings(definition.root)):
        found.append(
            f"teams.py uses {', '.join(unknown)} of zipline's package, which is not installed "
            "here: what they give is left out of executionInfo"
        )
    return CompilerOutput(conf, sorts_fields=True, objections=found)


def _as_airbnb(conf: Conf, root: Path | None) -> Conf:
    meta = conf["metaData"]
    if root is None:
        return _in_order(conf)
    namespace = team_setting(root, meta["team"], "namespace")
    added = {
        "outputNamespace": meta.get("outputNamespace") or namespace,
        "tableProperties": meta.get("tableProperties")
        or team_setting(root, meta["team"], "table_properties"),
    }
    meta |= {name: value for name, value in added.items() if value is not None}
    if namespace is not None and "dependencies" in meta:
        meta["dependencies"] = [
            wait.replace("{{ db }}", namespace) for wait in meta["dependencies"]
        ]
    return _in_order(conf)


def _in_order(conf: Conf) -> Conf:
    """The conf with its metadata in Thrift's order of fields."""
    meta, fields = conf["metaData"], STRUCTS[AIRBNB.name]["MetaData"].FIELDS
    return {**conf, "metaData": {name: meta[name] for name in fields if name in meta}}


def _as_zipline(conf: Conf, definition: Definition) -> Conf:
    meta = conf["metaData"]
    if definition.root is not None:
        teams.add_to(meta, definition.root)
        meta["sourceFile"] = str(definition.file.relative_to(definition.root))
    meta["columnHashes"] = hashes.column_hashes(conf)
    meta["customJson"] = waits.custom_json(conf)
    return conf


def _with_namespace(conf: Conf, namespace: str | None) -> Conf:
    """The conf with its sources' tables in the namespace of its team, if that is known."""
    bodies = [body for source in conf["sources"] for body in source.values()]
    for body in [*bodies, conf.get("keyFilter") or {}]:
        for field in ("table", "snapshotTable", "mutationTable"):
            if namespace and isinstance(body.get(field), str):
                body[field] = body[field].replace(NAMESPACE, namespace)
    return conf
