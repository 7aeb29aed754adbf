"""Whole jobs into one dataset, again and again: nothing is lost, nothing counts twice."""

import random
from pathlib import Path
from typing import Any

import pytest
from day_in_parts import MODES, Place, check_that_parts_add_up, day

from chronon_beam.io.runs.entry import EntryRefused
from chronon_beam.io.units import ChangedFile

DATASET = "T_OWN_STREAMING"


@pytest.mark.parametrize("mode", MODES)
def test_ten_runs_over_parts_of_a_day_are_as_one_over_the_whole(
    tmp_path: Path, mode: str, chance: random.Random
) -> None:
    check_that_parts_add_up(tmp_path, f"sqlite:{tmp_path}/f.db", MODES[mode], chance)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Two files were run over."""
    place = Place(tmp_path, f"sqlite:{tmp_path}/f.db", MODES["tiled"], "t.own")
    for name in ("a", "b"):
        place.write(name, day(random.Random(name), 4))
        place.run(name)
    return place


def test_what_would_mix_is_refused_and_replaced_if_asked_for(place: Place) -> None:
    before = place.features()
    place.declare(name="t_own")
    with pytest.raises(EntryRefused, match=f"{DATASET} is that of GroupBy 't.own'"):
        place.run("a")
    place.declare(where="'d > 4'")
    with pytest.raises(EntryRefused, match="was written with other wheres, .*--existing=replace"):
        place.run("[ab]")
    with pytest.raises(EntryRefused, match="--existing=refuse was given"):
        place.run("a", existing="refuse")
    assert place.run("[ab]", existing="replace") == 8
    filtered = place.features()
    place.declare()
    assert place.features() == filtered != before
    assert place.run("[ab]", existing="replace") == 8
    assert place.features() == before


def test_a_file_that_was_replaced_is_refused(place: Place) -> None:
    before = place.features()
    place.write("a", day(random.Random(9), 4))
    with pytest.raises(ChangedFile, match="/a.jsonl was read by an earlier run"):
        place.run("*")
    assert place.features() == before


def test_a_file_counts_once_from_whatever_folder_and_two_of_one_name_twice(
    tmp_path: Path,
) -> None:
    for mode in ("tiled", "untiled"):
        place = Place(tmp_path, f"sqlite:{tmp_path}/{mode}.db", MODES[mode], "t.own")
        for folder in ("x", "y"):
            (tmp_path / folder).mkdir(exist_ok=True)
            place.write(f"{folder}/e", day(random.Random(1), 4))
        place.run("x/e")
        once = place.features()
        assert place.run("y/.././x/e") == 0
        assert place.features() == once
        place.run("y/e")
        assert counts(place.features()) == [2 * number for number in counts(once)]


def counts(features: list[Any]) -> list[int]:
    return [each["d_count_24h"] or 0 for at in features for each in at]
