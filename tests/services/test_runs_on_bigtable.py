"""Runs over parts of a day add up in Bigtable too; `test_runs` has the same on SQLite."""

import random
from pathlib import Path

import pytest
from day_in_parts import MODES, check_that_parts_add_up


@pytest.mark.parametrize("mode", MODES)
def test_ten_runs_over_parts_of_a_day_are_as_one_over_the_whole(
    tmp_path: Path, bigtable: str, mode: str, chance: random.Random
) -> None:
    # An instance whose tables keep events of any age; those of other tests may drop old ones.
    store = f"{bigtable}-of-runs?max_age=none"
    check_that_parts_add_up(tmp_path, store, MODES[mode], chance)
