"""Functions made of one expression, whose text can become part of a larger function.

A tile is updated and encoded for every event, and each operation does so little that calling it
costs as much as its work. So operations are written as expressions, and once per GroupBy their
texts are put together to one function for a whole row and one for a whole tile.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType
from typing import Any, NamedTuple

Function = Callable[..., object]


class SharedValue(NamedTuple):
    """A value that several expressions over the same input need, and that is computed once.

    Attributes:
        function: computes the value.
        argument: the parameter of the expression that `function` is called with.
    """

    function: Callable[..., object]
    argument: str


class _Expression(NamedTuple):
    text: str
    names: dict[str, object]


def expression(parameters: str, text: str, **names: object) -> Callable[..., Any]:
    """The function `lambda parameters: text`; `names` are the other names in the text.

    >>> twice = expression("ir", "add(ir, ir)", add=lambda a, b: a + b)
    >>> twice(4)
    8
    """
    given = {name: value for name, value in names.items() if isinstance(value, SharedValue)}
    lines = [f"def function({parameters}):"]
    lines += [f" {name} = make_{name}({made.argument})" for name, made in given.items()]
    scope = names | {f"make_{name}": made.function for name, made in given.items()}
    function = _function("\n".join([*lines, f" return {text}"]), scope)
    function.expression = _Expression(text, names)
    return function


@dataclass
class FunctionBuilder:
    """Collects the lines of a function, and the names that these lines use.

    Attributes:
        lines: the lines of the function's body, with their indentation.
        names: the globals of the function.
    """

    lines: list[str] = field(default_factory=list)
    names: dict[str, object] = field(default_factory=dict)
    _numbers: dict[int, int] = field(default_factory=dict)

    def call(self, function: Callable[..., object], **arguments: str) -> str:
        """The text of a call of `function`; arguments are given as parameter=variable."""
        found = getattr(function, "expression", None)
        if found is None:
            return f"{self.name(function)}({', '.join(arguments.values())})"
        renamed = dict(arguments)
        for name, value in found.names.items():
            renamed[name] = self.name(value.function if isinstance(value, SharedValue) else value)
            if isinstance(value, SharedValue):
                renamed[name] = f"{name}_{renamed[name]}"
        return f"({_renamed(found.text, renamed)})"

    def shared_values(self, functions: Sequence[Function], **arguments: str) -> dict[str, str]:
        """The shared values of `functions`: for each variable, the text that computes its value."""
        wanted = {}
        for function in functions:
            found = getattr(function, "expression", None)
            for name, value in found.names.items() if found else ():
                if isinstance(value, SharedValue):
                    argument = arguments[value.argument]
                    text = self.call(value.function, **{value.argument: argument})
                    wanted[f"{name}_{self.name(value.function)}"] = text
        return wanted

    def name(self, value: object) -> str:
        """The variable that holds `value`: one variable per value."""
        name = f"x{self._numbers.setdefault(id(value), len(self._numbers))}"
        self.names[name] = value
        return name

    def function(self, parameters: str) -> Callable[..., Any]:
        """The function of the collected lines."""
        source = "\n".join([f"def function({parameters}):", *self.lines, " return"])
        return _function(source, dict(self.names))


def _function(source: str, scope: dict[str, object]) -> Any:
    # The source is made of texts of this package and of numbers: nothing of a user is in it.
    exec(_compiled(source), scope)
    return scope["function"]


@lru_cache(maxsize=4096)
def _compiled(source: str) -> CodeType:
    return compile(source, "<built>", "exec")


def _renamed(text: str, names: dict[str, str]) -> str:
    # The texts of this package have no attribute or string that is also one of the names.
    return re.sub(r"\b[A-Za-z_]\w*\b", lambda found: names.get(found[0], found[0]), text)
