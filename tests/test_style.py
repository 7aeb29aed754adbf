"""What keeps the code readable: short functions, short files, and types that say something."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from make_architecture import ROOMS, ROOT

MOST_LINES_OF_A_FUNCTION = 25
MOST_LINES_OF_A_FILE = 400
MOST_ANY_PER_1000_LINES = 10

FOLDERS = (*ROOMS, "runner_configs", "tests", "benchmarks", "docs", "examples")
FILES = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]


def functions(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The name of each function, and how many lines its body has without the docstring."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node, clean=False) else node.body
            if body:
                yield node.name, (body[-1].end_lineno or 0) - body[0].lineno + 1


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES_OF_A_FILE
    found = dict(functions(ast.parse(text)))
    long = {name: lines for name, lines in found.items() if lines > MOST_LINES_OF_A_FUNCTION}
    assert not long


def test_any_is_rare_outside_the_operations() -> None:
    lines = used = 0
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            if not path.is_relative_to(ROOT / "aggregator" / "operations"):
                text = path.read_text(encoding="utf-8")
                lines += len(text.splitlines())
                names = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)]
                used += sum(name.id == "Any" for name in names)
    assert used * 1000 < lines * MOST_ANY_PER_1000_LINES, f"{used} in {lines} lines"


def test_a_class_name_has_one_meaning() -> None:
    """`Source` is Chronon's word for what a GroupBy declares, and Beam's for what a job reads."""
    defined: dict[str, list[str]] = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    defined.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name for name, paths in defined.items() if len(paths) > 1} == {"Source"}, defined
