"""Modules that stand in for Chronon's package while a definition is loaded on a machine without it.

Names that GroupBys are made of are this project's words; every other name is an `Other`, which does
nothing and takes any use.
"""

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

from chronon_beam.api.chronon import airbnb, tables, words, zipline
from chronon_beam.api.chronon.case_when import CaseWhen, when
from chronon_beam.api.chronon.joins import ExternalWords
from chronon_beam.api.chronon.other import Other
from chronon_beam.api.chronon.structs import STRUCTS, Struct
from chronon_beam.api.dialect import AIRBNB, ZIPLINE, Dialect, OnlineStrategy, Operation, TimeUnit
from chronon_beam.api.group_by import Accuracy

Names = dict[str, object]

_ENUMS: Names = {"Accuracy": Accuracy, "Operation": Operation, "TimeUnit": TimeUnit}
_ZIPLINES_ALONE = ("ai.chronon.types", "ai.chronon.windows", "ai.chronon.source", "gen_thrift")


class _RunModes:
    """zipline's names of the modes that a job runs in, by which settings are kept."""

    def __getattr__(self, name: str) -> str:
        return name.lower().replace("_", "-")


def _producers(dialect: Dialect) -> Names:
    join, part = "ai.chronon.join.Join", "ai.chronon.join.JoinPart"
    return {
        "Join": tables.producer(join, dialect, "left", "right_parts", made_as=tables.JoinProducer),
        "JoinPart": tables.producer(part, dialect, "group_by", "key_mapping", "prefix"),
        "StagingQuery": tables.producer("ai.chronon.staging_query.StagingQuery", dialect, "query"),
    }


def _join_words(dialect: Dialect) -> Names:
    return {**_producers(dialect), **ExternalWords(dialect).names}


def _airbnb() -> dict[str, Names]:
    functions = {name: getattr(airbnb, name) for name in airbnb.__all__}
    return {
        "ai.chronon.group_by": functions | _ENUMS,
        "ai.chronon.query": functions,
        "ai.chronon.api.ttypes": {**_producers(AIRBNB), **STRUCTS[AIRBNB.name], **_ENUMS},
        "ai.chronon.join": {**functions, **_join_words(AIRBNB)},
        "ai.chronon.staging_query": {
            **_producers(AIRBNB),
            "StagingQueryEventSource": tables.staging_query_events,
            "StagingQueryEntitySource": tables.staging_query_entities,
            "get_staging_query_dependencies": tables.staging_query_waits,
        },
        "ai.chronon.utils": {
            "get_query": words.query_of,
            "get_columns": words.columns_of,
            "get_staging_query_output_table_name": tables.staging_query_table,
            "group_by_output_table_name": tables.group_by_table,
            "get_join_output_table_name": tables.join_table,
            "join_part_output_table_name": tables.join_part_table,
        },
    }


def _zipline() -> dict[str, Names]:
    structs = STRUCTS[ZIPLINE.name]
    functions = {name: getattr(zipline, name) for name in zipline.__all__}
    enums = {**_ENUMS, "OnlineStrategy": OnlineStrategy}
    every = {**structs, **_join_words(ZIPLINE), **functions, **enums}
    every |= {"TEMPORAL": Accuracy.TEMPORAL, "SNAPSHOT": Accuracy.SNAPSHOT}
    every |= {"CaseWhen": CaseWhen, "when": when}
    thrift = {**_producers(ZIPLINE), **structs, **enums}
    parts = ("types", "group_by", "query", "source", "derivation", "join", "staging_query")
    parts += ("data_types",)
    catalogs = ("Configuration", "GlueConfiguration", "BigQueryConfiguration")
    settings = {
        name: Other(f"{_CATALOGS}.{name}") for name in (*catalogs, "OpenCatalogConfiguration")
    }
    return {
        **{f"ai.chronon.{part}": every for part in parts},
        "ai.chronon.utils": {"get_query": words.query_of, "get_columns": words.columns_of},
        "ai.chronon.api.ttypes": thrift,
        "gen_thrift.api.ttypes": thrift,
        "gen_thrift.common.ttypes": thrift,
        "ai.chronon.repo.constants": {"RunMode": _RunModes()},
        _CATALOGS: settings,
    }


_CATALOGS = "ai.chronon.repo.spark_catalog_confs"
_NAMES = {AIRBNB.name: _airbnb(), ZIPLINE.name: _zipline()}


class _StandIn(ModuleType):
    """A module of Chronon's: its known names, its modules, and an `Other` for any other name."""

    def __init__(self, name: str, known: dict[str, Names]) -> None:
        super().__init__(name, "Stands in for a module of Chronon's.")
        self.__dict__.update(known.get(name, {}))
        self._known = known

    def __getattr__(self, name: str) -> Struct:
        if name.startswith("__"):
            raise AttributeError(name)
        full = f"{self.__name__}.{name}"
        if any(f"{module}.".startswith(f"{full}.") for module in self._known):
            return importlib.import_module(full)
        return Other(full)


class _Finder(MetaPathFinder, Loader):
    """Finds the modules of one dialect."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not _is_chronons(fullname):
            return None
        if self._dialect is AIRBNB and f"{fullname}.".startswith(
            tuple(f"{name}." for name in _ZIPLINES_ALONE)
        ):
            raise ModuleNotFoundError(
                f"{fullname} is a module of zipline's Chronon: add --dialect=zipline",
                name=fullname,
            )
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _StandIn(spec.name, _NAMES[self._dialect.name])

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: the module is complete."""


def _is_chronons(name: str) -> bool:
    top, _, rest = name.partition(".")
    return top == "gen_thrift" or (top == "ai" and (not rest or f"{rest}.".startswith("chronon.")))


def installed() -> Dialect | None:
    """Whose package of Chronon is installed here, if any is."""
    try:
        if find_spec("ai.chronon.group_by") is None:
            return None
    except ModuleNotFoundError:
        return None
    return ZIPLINE if find_spec("gen_thrift") else AIRBNB


@contextmanager
def chronon(dialect: Dialect) -> Iterator[bool]:
    """Chronon's modules can be imported inside: the installed package's, else those that stand in.

    Yields whether they are those of the installed package.
    """
    if installed() is dialect:
        yield True
        return
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_chronons(name)}
    finder = _Finder(dialect)
    sys.meta_path.insert(0, finder)
    try:
        yield False
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if _is_chronons(name)]:
            del sys.modules[name]
        sys.modules.update(hidden)
