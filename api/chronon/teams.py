"""What zipline's `teams.py` adds to the definitions of a team.

Source: `ai.chronon.cli.compile.parse_teams` of zipline-ai.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chronon_beam.api.chronon import partitions
from chronon_beam.api.chronon.conf import Conf, to_conf
from chronon_beam.api.chronon.other import Other
from chronon_beam.api.chronon.repository import values_in
from chronon_beam.api.chronon.structs import Struct
from chronon_beam.api.dialect import ZIPLINE
from chronon_beam.api.group_by import GroupByError

_SETTINGS = {
    "env": "modeEnvironments",
    "conf": "modeConfigs",
    "clusterConf": "modeClusterConfigs",
}
"""Fields of ExecutionInfo and of Team, with the member that has the settings of single modes."""


def add_to(meta: Conf, root: Path) -> None:
    """Add to a GroupBy's metadata what its team, and the default team, say.

    Raises:
        GroupByError: `teams.py` cannot be loaded, or does not know the team.
    """
    if (root / "teams.py").is_file():
        default, team = _levels(meta, root)
        meta["outputNamespace"] = _namespace(meta, team, root)
        _add_settings(meta.setdefault("executionInfo", {}), default, team)


def namespace_of(meta: Conf, root: Path) -> str | None:
    """The namespace of a GroupBy's tables; raises as `add_to` does."""
    if meta.get("outputNamespace") or not (root / "teams.py").is_file():
        return meta.get("outputNamespace")
    return _namespace(meta, _levels(meta, root)[1], root)


def _levels(meta: Conf, root: Path) -> tuple[Conf, Conf]:
    """The settings in `teams.py` for all teams, and those for a GroupBy's team."""
    file = root / "teams.py"
    teams = _teams(file)
    unknown = next((name for name in (meta["team"], "default") if name not in teams), None)
    if unknown is not None:
        raise GroupByError(f"{file}: no team {unknown!r}: add it, as zipline's compiler needs it")
    return teams["default"], teams[meta["team"]]


def _namespace(meta: Conf, team: Conf, root: Path) -> str:
    namespace = meta.get("outputNamespace") or team.get("outputNamespace")
    if not namespace:
        raise GroupByError(
            f"{meta['name']}: no namespace: set output_namespace, or outputNamespace of team "
            f"{meta['team']} in {root / 'teams.py'}"
        )
    return namespace


def unknown_settings(root: Path) -> list[str]:
    """What `teams.py` uses of zipline's package that is not known here."""
    file = root / "teams.py"
    values = values_in(file, ZIPLINE).values() if file.is_file() else ()
    return sorted({str(value) for value in values if isinstance(value, Other)})


def _teams(file: Path) -> dict[str, Conf]:
    return {
        name: to_conf(value, ZIPLINE, name)
        for name, value in values_in(file, ZIPLINE).items()
        if type(value).__name__ == "Team"
    }


def _add_settings(info: Conf, default: Conf, team: Conf) -> None:
    for field, modes in _SETTINGS.items():
        given = [each[field] for each in (default, team, info) if field in each]
        if given:
            info[field] = _merged(given, modes)
    said = info.get("offlineSchedule")
    for each in (default, team):
        schedule = each.get("executionInfo", {}).get("offlineSchedule")
        if schedule is not None and said in (None, "@daily"):
            info["offlineSchedule"] = schedule
    _add_grid(info, default, team)


def _merged(given: list[Conf], modes: str) -> Conf:
    """Settings of several levels: those of a later level, and of a mode, win."""
    result = _with_common(given[0], modes)
    for each in given[1:]:
        incoming = _with_common(each, modes)
        common = {**result.get("common", {}), **incoming.get("common", {})}
        before, after = result.get(modes), incoming.get(modes)
        result["common"] = common
        names = [*(before or {}), *(after or {})]
        if names:
            result[modes] = {
                name: {
                    **common,
                    **(before or {}).get(name, {}),
                    **(after or {}).get(name, incoming.get("common") or {}),
                }
                for name in names
            }
    return result


def _with_common(settings: Mapping[str, Any], modes: str) -> Conf:
    made = {name: dict(value) for name, value in settings.items()}
    if modes in made:
        common = made.get("common", {})
        made[modes] = {name: {**common, **value} for name, value in made[modes].items()}
    return made


def _add_grid(info: Conf, default: Conf, team: Conf) -> None:
    """The partitions that a team declares, for a GroupBy that declares none."""
    own = info.get("outputTableInfo", {})
    if "partitionInterval" in own or "partitionOffset" in own:
        return
    for each in (team, default):
        grid = each.get("executionInfo", {}).get("outputTableInfo", {})
        interval, offset = grid.get("partitionInterval"), grid.get("partitionOffset")
        if interval or offset:
            made = partitions.output_grid(_struct(interval), _struct(offset), None)
            made.partitionColumn = grid.get("partitionColumn") or made.partitionColumn
            made.partitionFormat = grid.get("partitionFormat") or made.partitionFormat
            info["outputTableInfo"] = {**own, **to_conf(made, ZIPLINE, "outputTableInfo")}
            return


def _struct(window: Conf | None) -> Struct:
    return None if window is None else partitions.window(window)
