"""The refusals that docs/from_chronon.md explains are those of the code."""

import inspect
import re
from pathlib import Path

from chronon_beam.api import validation

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "from_chronon.md").read_text(encoding="utf-8")
PHRASES = re.findall(r"^\| `([^`]+)` \|", PAGE, re.M)
SOURCES = "\n".join(
    path.read_text(encoding="utf-8") for path in sorted((ROOT / "api").rglob("*.py"))
)


def test_every_reason_of_the_page_is_given_by_the_code() -> None:
    assert len(PHRASES) > 8
    assert [phrase for phrase in PHRASES if phrase not in SOURCES] == []


def test_every_refusal_to_run_is_explained() -> None:
    names = [name for name in vars(validation) if name.lstrip("_").startswith("require_")]
    texts = {name: inspect.getsource(getattr(validation, name)) for name in names}
    refusals = {name: text for name, text in texts.items() if "raise GroupByError" in text}
    assert len(refusals) >= 5
    for name, text in refusals.items():
        assert any(phrase in text for phrase in PHRASES), name
