"""Find a GroupBy or a join in a file: compiled Thrift JSON, or a Python file that declares one."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from chronon_beam.api import declare
from chronon_beam.api.chronon.compiled import CompilerOutput, compile_definition, named_conf
from chronon_beam.api.chronon.joins import join_conf
from chronon_beam.api.chronon.repository import Definition, definitions_in, is_group_by, is_join
from chronon_beam.api.dialect import AIRBNB, Dialect, dialect
from chronon_beam.api.group_by import GroupBy, GroupByError
from chronon_beam.api.join import Join
from chronon_beam.api.join_json import parse_join, parse_join_conf, validated_join
from chronon_beam.api.thrift_json import parse_conf, parse_group_by
from chronon_beam.api.validation import require_computable


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


def load_computable(place: str, dialect_name: str | None = None) -> GroupBy:
    """`load_group_by` for commands that compute features or read them.

    Raises:
        GroupByError: as `load_group_by`, and as `require_computable`.
    """
    group_by = load_group_by(place, dialect_name)
    require_computable(group_by)
    return group_by


def load_join(place: str, dialect_name: str | None = None) -> Join:
    """Load the join at `place`; the arguments are those of `load_group_by`.

    Raises:
        GroupByError: no such file or variable, a Python file that fails, or what `parse_join`
            raises.
    """
    file, variable = _file(place, _JOIN)
    if file.suffix != ".py":
        chosen = dialect(dialect_name or AIRBNB.name)
        join = parse_join(file.read_bytes(), chosen, origin=str(file))
        return join if join.name else join.named(file.stem)
    declared, own = _declared(file, variable, dialect_name, _JOIN)
    value, where = declared.value, f"{file}:{declared.variable}"
    if isinstance(value, Join):
        return validated_join(value if value.name else value.named(declared.name), where)
    return parse_join_conf(join_conf(value, declared.name, own), own, where)


def compile_group_by(place: str, dialect_name: str | None = None) -> CompilerOutput:
    """What Chronon's compiler writes of the GroupBy at `place`, in a Python file.

    Raises:
        GroupByError: as `load_group_by`; or what Chronon's compiler needs is missing.
    """
    file, variable = _file(place)
    if file.suffix != ".py":
        raise GroupByError(f"{place}: a Python file is expected: what is not one is compiled")
    return compile_definition(*_declared(file, variable, dialect_name))


def file_of(place: str) -> Path:
    """The file of the GroupBy at `place`; raises GroupByError if there is none."""
    return _file(place)[0]


class _Sought(NamedTuple):
    """What is looked for in a file.

    Attributes:
        name: in messages.
        flag: the command's flag that names the file.
        fits: whether a value is one.
    """

    name: str
    flag: str
    fits: Callable[[object], bool]


_GROUP_BY = _Sought("GroupBy", "--group_by", is_group_by)
_JOIN = _Sought("Join", "--join", is_join)


def _file(place: str, sought: _Sought = _GROUP_BY) -> tuple[Path, str]:
    path, _, variable = place.partition(":") if ".py" in place else (place, "", "")
    file = Path(path)
    if not file.is_file():
        raise GroupByError(
            f"{sought.flag}={place}: no file {path}: give a compiled {sought.name} (Thrift JSON) "
            "or a Python file that declares one"
        )
    return file, variable


def _from_json(file: Path, dialect_name: str | None) -> GroupBy:
    group_by = parse_group_by(
        file.read_bytes(), dialect(dialect_name or AIRBNB.name), origin=str(file)
    )
    return group_by if group_by.name else group_by.named(file.stem)


def _declared(
    file: Path, variable: str, dialect_name: str | None, sought: _Sought = _GROUP_BY
) -> tuple[Definition, Dialect]:
    """The definition in a Python file, that of `variable` if it is given, and its dialect."""
    chosen = dialect(dialect_name) if dialect_name else None
    token = declare.CHOSEN.set(chosen)
    try:
        found = definitions_in(file, chosen or AIRBNB, sought.fits)
    finally:
        declare.CHOSEN.reset(token)
    names = ", ".join(each.variable for each in found) or "none"
    matching = [each for each in found if each.variable == variable] if variable else found
    if variable and not matching:
        raise GroupByError(f"{file} has no {sought.name} called {variable!r}: it declares {names}")
    if len(matching) != 1:
        raise GroupByError(
            f"{file} declares {len(found)} {sought.name}s ({names}): "
            + ("choose one with PATH:VARIABLE" if found else "assign one to a variable")
        )
    value = matching[0].value
    return matching[0], value.dialect if isinstance(value, GroupBy | Join) else chosen or AIRBNB
