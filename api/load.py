"""Find a GroupBy in a file: compiled Thrift JSON, or a Python file that declares one."""

from pathlib import Path

from chronon_beam.api import declare
from chronon_beam.api.chronon.compiled import Compiled, compiled, named_conf
from chronon_beam.api.chronon.repository import Declared, declared_in
from chronon_beam.api.dialect import AIRBNB, Dialect, dialect
from chronon_beam.api.group_by import GroupBy, GroupByError
from chronon_beam.api.thrift_json import parse_conf, parse_group_by


def load_group_by(place: str, dialect_name: str | None = None) -> GroupBy:
    """Load the GroupBy at `place`.

    Args:
        place: a path; for a Python file that declares several, `PATH:VARIABLE`.
        dialect_name: `airbnb` or `zipline`; airbnb unless said. A GroupBy of this project's Python
            API carries its own, which this overrides.

    Raises:
        GroupByError: no such file or variable, a Python file that fails, or what
            `parse_group_by` raises.
    """
    file, variable = _file(place)
    if file.suffix != ".py":
        return _from_json(file, dialect_name)
    declared, own = _declared(file, variable, dialect_name)
    if isinstance(declared.value, GroupBy) and declared.value.name:
        return declared.value
    return parse_conf(named_conf(declared, own), own, f"{file}:{declared.variable}")


def compile_group_by(place: str, dialect_name: str | None = None) -> Compiled:
    """What Chronon's compiler writes of the GroupBy at `place`, in a Python file.

    Raises:
        GroupByError: as `load_group_by`; or what Chronon's compiler needs is missing.
    """
    file, variable = _file(place)
    if file.suffix != ".py":
        raise GroupByError(f"{place}: a Python file is expected: what is not one is compiled")
    return compiled(*_declared(file, variable, dialect_name))


def file_of(place: str) -> Path:
    """The file of the GroupBy at `place`; raises GroupByError if there is none."""
    return _file(place)[0]


def _file(place: str) -> tuple[Path, str]:
    path, _, variable = place.partition(":") if ".py" in place else (place, "", "")
    file = Path(path)
    if not file.is_file():
        raise GroupByError(
            f"--group_by={place}: no file {path}: give a compiled GroupBy (Thrift JSON) or a "
            "Python file that declares one"
        )
    return file, variable


def _from_json(file: Path, dialect_name: str | None) -> GroupBy:
    group_by = parse_group_by(
        file.read_bytes(), dialect(dialect_name or AIRBNB.name), origin=str(file)
    )
    return group_by if group_by.name else group_by.named(file.stem)


def _declared(file: Path, variable: str, dialect_name: str | None) -> tuple[Declared, Dialect]:
    """The GroupBy that `variable` of a Python file holds, and its dialect."""
    chosen = dialect(dialect_name) if dialect_name else None
    token = declare.CHOSEN.set(chosen)
    try:
        found = declared_in(file, chosen or AIRBNB)
    finally:
        declare.CHOSEN.reset(token)
    names = ", ".join(each.variable for each in found) or "none"
    matching = [each for each in found if each.variable == variable] if variable else found
    if variable and not matching:
        raise GroupByError(f"{file} has no GroupBy called {variable!r}: it declares {names}")
    if len(matching) != 1:
        raise GroupByError(
            f"{file} declares {len(found)} GroupBys ({names}): "
            + ("choose one with PATH:VARIABLE" if found else "assign one to a variable")
        )
    value = matching[0].value
    return matching[0], value.dialect if isinstance(value, GroupBy) else chosen or AIRBNB
