"""Examples in docstrings run."""

import doctest
import importlib
import pkgutil

import pytest

ROOMS = ("api", "aggregator", "transforms", "io", "fetcher", "pipeline")


def modules() -> list[str]:
    """All modules of all rooms."""
    names = []
    for room in ROOMS:
        package = importlib.import_module(f"chronon_beam.{room}")
        walked = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        names += [module.name for module in walked]
    return names


@pytest.mark.parametrize("name", modules())
def test_docstring_examples_give_what_they_show(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0
