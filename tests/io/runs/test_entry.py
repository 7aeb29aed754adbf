"""Who may enter a dataset, and how: by what is there, what comes, and what the user has chosen."""

from dataclasses import replace

import pytest

from chronon_beam.io.runs.entry import Arrival, Dataset, Entry, EntryRefused, enter
from chronon_beam.io.runs.ledger import Run, State
from chronon_beam.io.units import Unit

A = Run("1", "t.g", {"wheres": "d"}, State.FINISHED, units=(Unit("a", 0, 9, "fa"),), alone=True)
LIVE = Run("1", "t.g", {"wheres": "d"}, live=True, alone=True)
B = Run("2", "t.g", {"wheres": "d"}, units=(Unit("b", 0, 9, "fb"),))
NEW_LIVE = Run("2", "t.g", {"wheres": "d"}, live=True)

OTHER = {"wheres": "x"}


def entered(
    run: Run, *runs: Run, empty: bool = False, existing: str | None = None, **more: bool
) -> Entry:
    arrival = Arrival(run, existing, **more)
    return enter(arrival, Dataset("T_G_STREAMING", runs, empty), lambda read, now: True)


@pytest.mark.parametrize(
    ("run", "there", "more", "message"),
    [
        (B, [replace(A, group_by="t_g")], {}, "is that of GroupBy 't_g'.*Rename"),
        (B, [replace(A, group_by="t_g")], {"existing": "replace"}, "is that of GroupBy 't_g'"),
        (
            B,
            [replace(A, definition=OTHER)],
            {},
            "was written with other wheres, .*--existing=replace",
        ),
        (
            NEW_LIVE,
            [replace(LIVE, definition=OTHER)],
            {"continues": True},
            "other wheres",
        ),
        (B, [], {}, "no run is noted for.*--existing=merge adds"),
        (B, [], {"tiled": False}, "no run is noted for"),
        (NEW_LIVE, [A], {}, "--savepoint_path goes on.*--existing=merge.*--existing=replace"),
        (NEW_LIVE, [LIVE], {}, "--savepoint_path goes on"),
        (B, [LIVE], {}, "tiles of a live job.*--existing=merge"),
        (replace(B, units=()), [A], {"knows_units": False}, "cannot tell.*--existing=merge"),
        (B, [A], {"existing": "refuse"}, "not empty, and --existing=refuse"),
        (B, [], {"existing": "refuse"}, "not empty, and --existing=refuse"),
    ],
)
def test_run_that_would_do_harm_is_refused_with_a_remedy(
    run: Run, there: list[Run], more: dict[str, bool], message: str
) -> None:
    with pytest.raises(EntryRefused, match=message):
        entered(run, *there, **more)


@pytest.mark.parametrize("existing", [None, "merge", "refuse", "replace"])
def test_the_first_run_is_alone_whatever_is_chosen(existing: str | None) -> None:
    for run in (B, NEW_LIVE):
        entry = entered(run, empty=True, existing=existing)
        assert (entry.run.alone, entry.run.units, entry.idle) == (True, run.units, False)


def test_what_the_user_has_chosen_is_done() -> None:
    for run, there in (
        (B, [replace(A, definition=OTHER)]),
        (B, []),
        (B, [LIVE]),
        (NEW_LIVE, [A]),
    ):
        entry = entered(run, *there, existing="merge")
        assert entry == Entry(run)
        anew = entered(run, *there, existing="replace").run
        assert (anew.alone, anew.state, anew.units) == (True, State.CLEARING, run.units)
        assert anew.replaces == {each.id for each in there}


def test_rows_have_identities_so_live_ones_go_on() -> None:
    assert entered(NEW_LIVE, LIVE, tiled=False) == Entry(NEW_LIVE)
    unitless = replace(B, units=())
    assert entered(unitless, A, tiled=False, knows_units=False) == Entry(unitless)


def test_a_live_job_with_its_state_goes_on_as_the_one_before_it() -> None:
    before = replace(LIVE, replaces=frozenset({"0"}))
    run = entered(NEW_LIVE, before, continues=True).run
    assert (run.alone, run.replaces) == (True, {"0", "1"})
    added = entered(NEW_LIVE, A, replace(LIVE, id="1b", alone=False), continues=True).run
    assert (added.alone, added.replaces) == (False, {"1b"})
    assert entered(NEW_LIVE, continues=True).run.alone


def test_files_that_were_read_are_left_out() -> None:
    both = replace(B, units=(*A.units, *B.units))
    assert entered(both, A).run.units == B.units
    assert entered(replace(B, units=A.units), A).idle
    grown = replace(B, units=(Unit("a", 0, 12, "f+"),))
    assert entered(grown, A).run.units == (Unit("a", 9, 12, "f+"),)


def test_an_unfinished_run_is_replaced_by_one_that_reads_all_of_it_else_taken_back() -> None:
    died = replace(B, id="1b")
    assert entered(B, A, died) == Entry(replace(B, replaces=frozenset({"1b"})))
    other = replace(B, units=(Unit("c", 0, 9, "fc"),))
    assert entered(other, A, died).takes_back == (died,)
    assert entered(B, A, replace(died, definition=OTHER)).takes_back
    assert entered(B, A, replace(died, units=())).takes_back


def test_an_unfinished_run_that_was_alone_is_replaced_or_emptied() -> None:
    died = replace(B, id="1b", alone=True)
    assert entered(B, died).run.state is State.STARTED
    other = replace(B, units=(Unit("c", 0, 9, "fc"),))
    for run, there in ((other, died), (B, replace(died, state=State.CLEARING))):
        entry = entered(run, there)
        assert (entry.run.state, entry.run.alone) == (State.CLEARING, True)
        assert entry.run.replaces == {"1b"}
