"""Imports go one way: pipeline -> {fetcher, io, transforms} -> aggregator -> api."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "api": {"api"},
    "aggregator": {"aggregator", "api"},
    "transforms": {"transforms", "aggregator", "api"},
    "io": {"io", "aggregator", "api"},
    "fetcher": {"fetcher", "aggregator", "api"},
    "pipeline": {"pipeline", "fetcher", "io", "transforms", "aggregator", "api", "runner_configs"},
}
PURE = ("api", "aggregator")
HEAVY = {"apache_beam", "pyspark", "py4j", "google", "confluent_kafka", "sqlite3"}


def imports(path: Path) -> Iterator[str]:
    """Names of all modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


FILES = [path for room in MAY_IMPORT for path in sorted((ROOT / room).rglob("*.py"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    for module in imports(path):
        package, _, rest = module.partition(".")
        # `io` alone is the standard library's; `io.files` would be ours under a wrong name.
        ours = package in MAY_IMPORT and module != "io"
        assert not ours, f"{path}: imports {module}; write chronon_beam.{module}"
        if package == "chronon_beam":
            assert rest.split(".")[0] in MAY_IMPORT[room], f"{path} imports {module}"
        if room in PURE:
            assert package not in HEAVY, f"{path} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_no_room_reaches_the_rooms_it_must_not() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(MAY_IMPORT)


def test_pipeline_has_no_file_named_like_a_standard_module() -> None:
    import sys

    names = {path.stem for path in (ROOT / "pipeline").glob("*.py")}
    assert not names & set(sys.stdlib_module_names)
