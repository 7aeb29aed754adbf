"""zipline's builder for CASE in Spark SQL."""

from typing import Any, Self

from chronon_beam.api.chronon.structs import Struct


class CaseWhen(str):
    """The text of a CASE, which `when` and `else_` make longer."""

    _parts: tuple[tuple[tuple[str, Any], ...], tuple[Any, ...]]

    def __new__(cls, branches: tuple[tuple[str, Any], ...], default: tuple[Any, ...] = ()) -> Self:
        """The text of branches, each a condition and a value, and of at most one default."""
        whens = "".join(f" WHEN {condition} THEN {_sql(value)}" for condition, value in branches)
        otherwise = "".join(f" ELSE {_sql(value)}" for value in default)
        made = super().__new__(cls, f"CASE{whens}{otherwise} END")
        made._parts = (branches, default)
        return made

    def __getnewargs__(self) -> Struct:
        return self._parts

    def when(self, condition: str, value: object) -> "CaseWhen":
        """Rows for which `condition` is true, and none before was, have `value`."""
        branches, default = self._parts
        return CaseWhen((*branches, (condition, value)), default)

    def else_(self, default: object) -> "CaseWhen":
        """All other rows have `default`; without it they have NULL."""
        return CaseWhen(self._parts[0], (default,))

    otherwise = else_


def _sql(value: object) -> str:
    return "NULL" if value is None else str(value)


def when(condition: str, value: object) -> CaseWhen:
    """Begin a CASE."""
    return CaseWhen(((condition, value),))
