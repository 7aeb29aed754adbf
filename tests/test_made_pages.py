"""Pages of docs that are made from the code say what the code does."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("name", ["metrics", "operations", "serdes"])
def test_page_is_what_the_code_says_now(name: str) -> None:
    script = DOCS / f"make_{name}.py"
    spec = importlib.util.spec_from_file_location(script.stem, script)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    stale = made.PAGE.read_text(encoding="utf-8") != made.page()
    assert not stale, f"docs/{name}.md is stale: run `.venv/bin/python docs/{script.name}`"
