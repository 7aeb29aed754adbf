"""The partitions of the tables of zipline's batch jobs: one per day, or one per part of a day.

Streams have no partitions: they are kept so that a compiled conf equals zipline's.
Source: `ai.chronon.windows` of zipline-ai.
"""

import re
from copy import copy

from chronon_beam.api.chronon import words
from chronon_beam.api.chronon.conf import Conf, to_conf
from chronon_beam.api.chronon.structs import STRUCTS, Struct
from chronon_beam.api.dialect import DAY_MS, ZIPLINE
from chronon_beam.api.group_by import GroupByError, Window

_STRUCT = STRUCTS[ZIPLINE.name]
_DAILY = ("", "none", "null", "@daily", "@never")
_ONCE_A_DAY = re.compile(r"\d+ +\d+( +\S+){3}")
_GRID = ("partitionColumn", "partitionFormat", "partitionInterval", "partitionOffset")


class Table(str):
    """A table's name, with the partitions of the job that writes it.

    Attributes:
        grid: a TableInfo; None when the table has one partition per day.
    """

    grid: Struct | None

    def __new__(cls, name: str, grid: Struct | None) -> "Table":
        """A name that carries `grid`, unless it is that of days."""
        made = super().__new__(cls, name)
        by_day = grid is None or (
            _millis(grid.partitionInterval) == DAY_MS and not _millis(grid.partitionOffset)
        )
        made.grid = None if by_day else grid
        return made


def window(conf: Conf) -> Struct:
    """The Window that a compiled conf has."""
    return _STRUCT["Window"](conf["length"], ZIPLINE.time_units[conf["timeUnit"]])


def _millis(length: object) -> int:
    if length is None:
        return 0
    conf = to_conf(words.length(_STRUCT, length, 0), ZIPLINE, "partition interval")
    return Window(conf["length"], ZIPLINE.time_units[conf["timeUnit"]]).millis


def default_format(interval: object, offset: object) -> str | None:
    """The default format of the names of partitions."""
    if interval is None:
        return None
    by_day = _millis(interval) >= DAY_MS and not _millis(offset)
    return "yyyy-MM-dd" if by_day else "yyyy-MM-dd-HH-mm"


def is_subdaily(grid: Struct) -> bool:
    """Whether a table has several partitions per day."""
    return grid is not None and _millis(grid.partitionInterval) < DAY_MS


def with_grid_of(query: Struct, table: str) -> Struct:
    """The query, with the partitions of a table that another definition writes."""
    grid = getattr(table, "grid", None)
    if query is None or grid is None or query.partitionInterval is not None:
        return query
    made = copy(query)
    for name in _GRID:
        if getattr(made, name) is None:
            setattr(made, name, getattr(grid, name))
    return made


def output_grid(interval: object, offset: object, schedule: str | None) -> Struct:
    """The partitions that a GroupBy's batch job writes; None when nothing is said of them.

    Raises:
        GroupByError: partitions that do not fill a day, or a schedule from which zipline would
            work them out.
    """
    plain = (schedule or "").strip().lower()
    if interval is None and plain not in _DAILY and not _ONCE_A_DAY.fullmatch(plain):
        raise GroupByError(
            f"GroupBy: offline_schedule {schedule!r} may be due several times a day, and zipline "
            "makes as many partitions: say partition_interval as well"
        )
    if interval is None and offset is None:
        return None
    interval_ms, offset_ms = _millis(interval or "1d"), _millis(offset)
    if interval_ms > DAY_MS or DAY_MS % interval_ms or not 0 <= offset_ms < interval_ms:
        raise GroupByError(
            f"GroupBy: partition_interval {interval!r} with partition_offset {offset!r}: an "
            "interval that divides a day is expected, and an offset shorter than it"
        )
    return _STRUCT["TableInfo"](
        partitionColumn="ds",
        partitionFormat=default_format(interval or "1d", offset),
        partitionInterval=words.length(_STRUCT, interval or "1d"),
        partitionOffset=words.length(_STRUCT, offset, 0),
    )
