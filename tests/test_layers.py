"""Imports go one way: pipeline -> {fetcher, io, transforms} -> aggregator -> api.

Inside a folder of the package the same holds for its inner folders, and no file imports itself by
way of others.
"""

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from make_architecture import ROOT, files, imported, imports

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

MAY_IMPORT_INSIDE = {
    "aggregator/jvm": set(),
    "aggregator/operations": {"aggregator/jvm", "aggregator/avro", "aggregator/expressions"},
    "api/chronon": {"api"},
    "api/formats": {"api"},
    "fetcher/inspector": {"fetcher"},
    "fetcher/joins": {"fetcher"},
    "fetcher/server": {"fetcher", "fetcher/joins"},
    "io/bigtable": {"io"},
    "io/dead_letters": {"io", "io/kafka"},
    "io/files": {"io"},
    "io/kafka": {"io"},
    "io/pubsub": {"io"},
    "io/runs": {"io"},
    "pipeline/commands": {
        "pipeline",
        "pipeline/demo",
        "pipeline/drafting",
        "pipeline/jobs",
        "pipeline/redrive",
        "pipeline/runners",
        "pipeline/templates",
        "pipeline/verification",
    },
    "pipeline/demo": {"pipeline", "pipeline/runners"},
    "pipeline/drafting": {"pipeline"},
    "pipeline/jobs": {"pipeline", "pipeline/runners"},
    "pipeline/redrive": {"pipeline"},
    "pipeline/runners": {"pipeline"},
    "pipeline/templates": {"pipeline", "pipeline/runners"},
    "pipeline/verification": {"pipeline", "pipeline/runners"},
    "transforms/schemas": set(),
    "transforms/serdes": {"transforms/schemas"},
    "transforms/spark": set(),
    "transforms/tiling": {"transforms"},
}
"""What an inner folder may import of the folder around it: files, other inner folders, or all of
the files that are directly in the folder around it."""

MODULES = files()
FILES = list(MODULES.values())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    for module in imported(path):
        package, _, rest = module.partition(".")
        # `io` alone is the standard library's; `io.files` would be ours under a wrong name.
        ours = any(name in MODULES and name != "io" for name in (module, module.rpartition(".")[0]))
        assert not ours, f"{path}: imports {module}; write chronon_beam.{module}"
        if package == "chronon_beam":
            assert rest.split(".")[0] in MAY_IMPORT[room], f"{path} imports {module}"
        if room in PURE:
            assert package not in HEAVY, f"{path} imports {module}"


def test_every_folder_has_its_rule() -> None:
    folders = {path.parent.relative_to(ROOT).as_posix() for path in FILES}
    assert folders == set(MAY_IMPORT) | set(MAY_IMPORT_INSIDE)


def test_inner_folders_import_one_way() -> None:
    for module, found in imports().items():
        inner = MODULES[module].parent.relative_to(ROOT).as_posix()
        for other in sorted(found):
            if inner in MAY_IMPORT or other not in MODULES:
                continue
            path = MODULES[other].relative_to(ROOT)
            allowed = {inner, *MAY_IMPORT_INSIDE[inner]}
            reached = {path.parent.as_posix(), path.with_suffix("").as_posix()}
            same_room = path.parts[0] == inner.partition("/")[0]
            assert not same_room or reached & allowed, f"{inner}: {module} imports {other}"


def test_no_file_imports_itself_by_way_of_others() -> None:
    try:
        TopologicalSorter(imports()).prepare()
    except CycleError as error:
        raise AssertionError(f"a circle of imports: {' -> '.join(error.args[1])}") from None


def test_pipeline_has_no_file_named_like_a_standard_module() -> None:
    import sys

    names = {path.stem for path in (ROOT / "pipeline").glob("*.py")}
    assert not names & set(sys.stdlib_module_names)
