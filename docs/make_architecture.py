"""Reads which file of the package imports which, for docs/architecture.md and the layer tests."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = "chronon_beam"
ROOMS = ("pipeline", "fetcher", "io", "transforms", "aggregator", "api")
"""The folders of the package, the highest layer first."""


def files() -> dict[str, Path]:
    """The package's files by module name, without the package's own name: `io.files.source`."""
    found = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[module.removesuffix(".__init__")] = path
    return found


def imported(path: Path) -> Iterator[str]:
    """The names that a file imports, in full: `from a.b import c` gives `a.b.c`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{path}: a relative import; write {PACKAGE}....")
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports() -> dict[str, set[str]]:
    """Each module of the package with the modules of the package that it imports."""
    modules = files()
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        ours = [
            name.removeprefix(f"{PACKAGE}.")
            for name in imported(path)
            if name.startswith(f"{PACKAGE}.")
        ]
        # What is not a module is something inside one.
        graph[module] = {name if name in modules else name.rpartition(".")[0] for name in ours}
    return graph
