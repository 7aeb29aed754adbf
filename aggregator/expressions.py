"""Functions of one expression, which can be called, or woven into a larger function.

A tile is updated and encoded for every event, and an operation does little: calling it costs as
much as the work. So operations are written as expressions, and the functions for a whole row and
for a whole tile are made of their texts, once for a GroupBy.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from types import CodeType
from typing import Any, NamedTuple


class Given(NamedTuple):
    """A value that several expressions over the same input need, and that is made once.

    Attributes:
        function: makes it.
        argument: of what: the name of a parameter.
    """

    function: Callable[[Any], Any]
    argument: str


class _Expression(NamedTuple):
    text: str
    names: dict[str, Any]


def expression(parameters: str, text: str, **names: Any) -> Callable[..., Any]:
    """The function `lambda parameters: text`; `names` are what else stands in the text.

    >>> twice = expression("ir", "add(ir, ir)", add=lambda a, b: a + b)
    >>> twice(4)
    8
    """
    given = {name: value for name, value in names.items() if isinstance(value, Given)}
    lines = [f"def function({parameters}):"]
    lines += [f" {name} = make_{name}({made.argument})" for name, made in given.items()]
    scope = names | {f"make_{name}": made.function for name, made in given.items()}
    function = _function("\n".join([*lines, f" return {text}"]), scope)
    function.expression = _Expression(text, names)
    return function


@dataclass
class Weaver:
    """Collects the lines of a function, and the names that they need.

    Attributes:
        lines: the function's, with their indentation.
        names: its globals.
    """

    lines: list[str] = field(default_factory=list)
    names: dict[str, Any] = field(default_factory=dict)
    _numbers: dict[int, int] = field(default_factory=dict)

    def call(self, function: Callable[..., Any], **arguments: str) -> str:
        """The text that gives `function` of these arguments, given as parameter=variable."""
        found = getattr(function, "expression", None)
        if found is None:
            return f"{self.name(function)}({', '.join(arguments.values())})"
        renamed = dict(arguments)
        for name, value in found.names.items():
            renamed[name] = self.name(value.function if isinstance(value, Given) else value)
            if isinstance(value, Given):
                renamed[name] = f"{name}_{renamed[name]}"
        return f"({_renamed(found.text, renamed)})"

    def givens(self, functions: list[Callable[..., Any]], **arguments: str) -> dict[str, str]:
        """What `functions` want to be given: the text of each value by its variable."""
        wanted = {}
        for function in functions:
            found = getattr(function, "expression", None)
            for name, value in found.names.items() if found else ():
                if isinstance(value, Given):
                    argument = arguments[value.argument]
                    text = self.call(value.function, **{value.argument: argument})
                    wanted[f"{name}_{self.name(value.function)}"] = text
        return wanted

    def name(self, value: Any) -> str:
        """The variable that holds `value`, the same for the same value."""
        name = f"x{self._numbers.setdefault(id(value), len(self._numbers))}"
        self.names[name] = value
        return name

    def function(self, head: str) -> Any:
        """The function `def head`, of the collected lines."""
        source = "\n".join([f"def function({head}):", *self.lines, " return"])
        return _function(source, dict(self.names))


def _function(source: str, scope: dict[str, Any]) -> Any:
    # The source is made of texts of this package and of numbers: nothing of a user is in it.
    exec(_compiled(source), scope)
    return scope["function"]


@lru_cache(maxsize=4096)
def _compiled(source: str) -> CodeType:
    return compile(source, "<woven>", "exec")


def _renamed(text: str, names: dict[str, str]) -> str:
    # An attribute or a string in the text is never one of the names: texts are ours.
    return re.sub(r"\b[A-Za-z_]\w*\b", lambda found: names.get(found[0], found[0]), text)
