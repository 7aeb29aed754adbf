"""Files of a Chronon repository: where its root is, how a file is run, and what it declares.

A repository holds `group_bys/team/file.py` beside `joins`, `sources` and so on, and its files
import one another from its root. A file elsewhere belongs to the team that its folder is named
after.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from traceback import extract_tb
from types import CodeType, ModuleType

from chronon_beam.api.chronon import joins, modules, tables
from chronon_beam.api.chronon.structs import Struct
from chronon_beam.api.dialect import Dialect
from chronon_beam.api.group_by import GroupBy, GroupByError
from chronon_beam.api.join import Join

FOLDERS = ("group_bys", "joins", "staging_queries", "models", "model_transforms")
TEAMS = ("teams.json", "teams.py")


@dataclass(frozen=True)
class Definition:
    """A GroupBy or a join that a file declares.

    Attributes:
        value: this project's record, or what a word of Chronon's makes.
        variable: what holds it.
        module: the file's name when it is imported, for example `group_bys.shop.purchases`.
        file: where it is, as an absolute path.
        root: the repository, if the file is in one.
    """

    value: object
    variable: str
    module: str
    file: Path
    root: Path | None

    @property
    def name(self) -> str:
        """Chronon's name: `team.file.variable`, in zipline with `__version`."""
        return tables.qualified(self.module, self.variable, getattr(self.value, "metaData", None))


def root_of(file: Path) -> Path | None:
    """The root of the repository that a file is in: beside its teams, or above a known folder."""
    for folder in file.parents:
        inside = file.relative_to(folder).parts[0] in FOLDERS
        if inside and any((folder / teams).is_file() for teams in TEAMS):
            return folder
    return next((folder.parent for folder in file.parents if folder.name in FOLDERS), None)


def definitions_in(
    path: Path, dialect: Dialect, wanted: Callable[[object], bool] | None = None
) -> list[Definition]:
    """The GroupBys that a file declares, without those that it imports.

    Args:
        path: the file.
        dialect: whose words it is written in.
        wanted: whether a value is looked for; GroupBys by default. The GroupBys of joins are named
            after the variables that hold them.

    Raises:
        GroupByError: whatever goes wrong in the file, with its line.
    """
    file = path.resolve()
    root, is_wanted = root_of(file), wanted or is_group_by
    with _run(path, file, root, dialect) as module:
        elsewhere = _held_elsewhere(module, root, is_wanted)
        return [
            Definition(_with_names(value, file, root), variable, module.__name__, file, root)
            for variable, value in vars(module).items()
            if is_wanted(value) and id(value) not in elsewhere
        ]


def values_in(path: Path, dialect: Dialect) -> dict[str, object]:
    """What the variables of a file at a repository's root hold; raises as `definitions_in` does."""
    with _run(path, path.resolve(), path.resolve().parent, dialect) as module:
        return dict(vars(module))


def is_group_by(value: object) -> bool:
    """Whether a value is a GroupBy: this project's, or a struct of Chronon's."""
    named = type(value).__name__ == "GroupBy"
    is_struct = isinstance(value, Struct) or hasattr(type(value), "thrift_spec")
    return isinstance(value, GroupBy) or (named and is_struct)


def _module_name(file: Path, root: Path | None) -> str:
    parts = file.relative_to(root).parts if root else ("group_bys", file.parent.name, file.name)
    return ".".join(parts).removesuffix(".py")


class _AsItStands(SourceFileLoader):
    """Runs a file without Python's cache: it misses changes within a second that keep the size."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


@contextmanager
def _importable(file: Path, root: Path | None) -> Iterator[None]:
    """Files of the repository can be imported inside, and are forgotten afterwards.

    Nothing is written beside them: a folder of definitions may be under version control.
    """
    before, paths = dict(sys.modules), list(sys.path)
    writes_none, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    token = tables.ROOT.set(root)
    if root is None:
        # So that the file can import its neighbours by relative names.
        package = ModuleType("group_bys")
        package.__path__ = [str(file.parent.parent)]
        sys.modules["group_bys"] = package
    sys.path.insert(0, str(root or file.parent))
    try:
        yield
    finally:
        tables.ROOT.reset(token)
        sys.dont_write_bytecode = writes_none
        sys.path[:] = paths
        added = [name for name, module in sys.modules.items() if before.get(name) is not module]
        # By name: folders without `__init__.py` are modules that have no file.
        folder = root or file.parent
        for name in added:
            top = name.partition(".")[0]
            if top == "group_bys" or (folder / top).is_dir() or (folder / f"{top}.py").is_file():
                del sys.modules[name]
        sys.modules.update({name: before[name] for name in before if name not in sys.modules})


def _is_under(module: object, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).is_relative_to(folder)


def _tell_installed(root: Path) -> None:
    """Chronon's own package looks for the teams of the repository here."""
    import ai.chronon.utils as utils  # pyright: ignore[reportMissingImports]

    utils.chronon_root_path = str(root)


@contextmanager
def _run(path: Path, file: Path, root: Path | None, dialect: Dialect) -> Iterator[ModuleType]:
    """The module that a file is; what it imports can be imported as long as this lasts."""
    with _importable(file, root), modules.chronon(dialect) as is_installed:
        if is_installed and root:
            _tell_installed(root)
        name = _module_name(file, root)
        loader = _AsItStands(name, str(file))
        spec = spec_from_loader(name, loader)
        assert spec is not None
        module = module_from_spec(spec)
        # As Python does it: the file may look itself up while it runs.
        sys.modules[module.__name__] = module
        try:
            loader.exec_module(module)
        except GroupByError as error:
            raise GroupByError(f"{_place(path, file, error)}: {error}") from error
        except Exception as error:  # whatever the user's own code raises
            raise GroupByError(
                f"{_place(path, file, error)}: cannot be loaded: {type(error).__name__}: {error}"
            ) from error
        yield module


def _place(path: Path, file: Path, error: Exception) -> str:
    """File and line of the user's code that an error comes from."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return f"{path}:{error.lineno}"
    steps = [step for step in extract_tb(error.__traceback__) if step.filename == str(file)]
    return f"{path}:{steps[-1].lineno}" if steps else str(path)


def is_join(value: object) -> bool:
    """Whether a value is a join: this project's, or Chronon's."""
    return isinstance(value, Join) or joins.is_join(value)


def _with_names(value: object, file: Path, root: Path | None) -> object:
    """The same with names for the GroupBys of a join that have none."""
    if isinstance(value, Join):
        return value.with_names(lambda group_by: _held_name(group_by, file, root))
    for part in joins.parts_of(value) if joins.is_join(value) else ():
        group_by = part.groupBy
        if isinstance(group_by, GroupBy):
            name = group_by.name or _held_name(group_by, file, root)
            part.groupBy = group_by.named(name)
        elif isinstance(group_by, Struct) and not group_by.metaData.name:
            group_by.metaData.name = _held_name(group_by, file, root) or None
    return value


def _held_name(group_by: object, file: Path, root: Path | None) -> str:
    """Chronon's name of a GroupBy, after the file that declares it; empty if no variable holds it.

    The file that declares it is the last that began to load, of those that hold it.
    """
    held = [
        (str(module.__file__), variable)
        for module in list(sys.modules.values())
        if _is_under(module, root or file.parent)
        for variable, each in list(vars(module).items())
        if each is group_by
    ]
    if not held:
        return ""
    declared_in, variable = held[-1]
    name = _module_name(Path(declared_in), root)
    return tables.qualified(name, variable, getattr(group_by, "metaData", None))


def _held_elsewhere(
    module: ModuleType, root: Path | None, is_wanted: Callable[[object], bool]
) -> set[int]:
    """Identities of what is wanted that another file of the repository declares."""
    others = [
        other
        for other in list(sys.modules.values())
        if root and other is not module and _is_under(other, root)
    ]
    return {id(value) for other in others for value in vars(other).values() if is_wanted(value)}
