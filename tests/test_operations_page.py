"""docs/operations.md says what the code does."""

import importlib.util
from pathlib import Path

SCRIPT = Path(__file__).parent.parent / "docs" / "make_operations.py"


def test_page_is_what_the_code_says_now() -> None:
    spec = importlib.util.spec_from_file_location("make_operations", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    stale = made.PAGE.read_text(encoding="utf-8") != made.page()
    assert not stale, "docs/operations.md is stale: run `.venv/bin/python docs/make_operations.py`"
