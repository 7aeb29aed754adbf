"""Find a GroupBy in a file: compiled Thrift JSON, or a Python file that declares one."""

import runpy
from pathlib import Path
from traceback import extract_tb
from typing import Any

from chronon_beam.api.declare import with_dialect
from chronon_beam.api.dialect import AIRBNB, dialect
from chronon_beam.api.group_by import GroupBy, GroupByError
from chronon_beam.api.thrift_json import parse_group_by


def load_group_by(place: str, dialect_name: str | None = None) -> GroupBy:
    """Load the GroupBy at `place`.

    Args:
        place: a path; for a Python file that declares several, `PATH:VARIABLE`.
        dialect_name: `airbnb` or `zipline`; a Python definition carries its own, which this
            overrides; compiled JSON carries none and is airbnb's unless said.

    Raises:
        GroupByError: no such file or variable, a Python file that fails, or what
            `parse_group_by` raises.
    """
    path, _, variable = place.partition(":") if ".py" in place else (place, "", "")
    file = Path(path)
    if not file.is_file():
        raise GroupByError(
            f"--group_by={place}: no file {path}: give a compiled GroupBy (Thrift JSON) or a "
            "Python file that declares one"
        )
    if file.suffix == ".py":
        group_by = _from_python(file, variable)
        return with_dialect(group_by, dialect_name) if dialect_name else group_by
    return _from_json(file, dialect_name)


def _from_json(file: Path, dialect_name: str | None) -> GroupBy:
    group_by = parse_group_by(
        file.read_bytes(), dialect(dialect_name or AIRBNB.name), origin=str(file)
    )
    return group_by if group_by.name else group_by.named(file.stem)


def _from_python(file: Path, variable: str) -> GroupBy:
    found = {name: value for name, value in _names_in(file).items() if isinstance(value, GroupBy)}
    if variable and variable not in found:
        raise GroupByError(
            f"{file} has no GroupBy called {variable!r}: it declares {', '.join(found) or 'none'}"
        )
    if not variable and len(found) != 1:
        declared = ", ".join(found) or "none"
        raise GroupByError(
            f"{file} declares {len(found)} GroupBys ({declared}): "
            + ("choose one with PATH:VARIABLE" if found else "assign one to a variable")
        )
    name = variable or next(iter(found))
    group_by = found[name]
    # Of the resolved path: the name must not depend on where the command is run.
    team = file.resolve().parent.name
    return group_by if group_by.name else group_by.named(f"{team}.{name}")


def _names_in(file: Path) -> dict[str, Any]:
    try:
        return runpy.run_path(str(file))
    except GroupByError as error:
        raise GroupByError(f"{file}: {error}") from error
    except Exception as error:  # whatever the user's own code raises
        steps = [step for step in extract_tb(error.__traceback__) if step.filename == str(file)]
        at = error.lineno if isinstance(error, SyntaxError) else (steps[-1].lineno if steps else 0)
        raise GroupByError(
            f"{file}:{at}: cannot be loaded: {type(error).__name__}: {error}"
        ) from error
