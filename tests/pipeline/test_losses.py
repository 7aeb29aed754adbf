"""Which losses make a job fail, by its counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.api.counts import Metric, dead
from chronon_beam.pipeline.losses import losses
from chronon_beam.pipeline.max_dead import MaxDead, parse_max_dead
from chronon_beam.pipeline.summary import Totals


@pytest.mark.parametrize(
    ("given_limit", "lost", "events", "too_many"),
    [
        (None, 99, 99, False),
        (None, 50, 100, False),
        (None, 51, 100, True),
        ("0", 0, 0, False),
        ("0", 1, 1_000_000, True),
        ("3", 3, 4, False),
        ("3", 4, 4, True),
        ("100%", 7, 7, False),
        ("0%", 1, 2, True),
        ("2.5 %", 1, 40, False),
        ("2.5%", 2, 40, True),
    ],
)
@pytest.mark.parametrize("step", ["Decode", "Evaluate", "Tile", "Convert", "Fold"])
def test_dead_letters_above_the_limit_fail_the_job(
    given_limit: str | None, lost: int, events: int, too_many: bool, step: str
) -> None:
    limit = MaxDead() if given_limit is None else parse_max_dead(given_limit)
    found = losses(Totals({"messages": events, dead(step): lost}), limit, allow_unread=False)
    assert (len(found) == 1) == too_many
    if too_many:
        assert f"{lost:,} of {events:,} events are dead letters" in found[0]
        assert f"--max_dead allows ({limit})" in found[0]


@pytest.mark.parametrize("text", ["", "-1", "1.5", "%", "101%", "half", "1e3", "5%%", "٣", "1 2"])
def test_limit_that_makes_no_sense_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(ValueError, match=r"write a number of events, as in 10, or a share"):
        parse_max_dead(text)


@given(st.integers(0, 10**9))
def test_a_number_is_its_own_limit(number: int) -> None:
    limit = parse_max_dead(str(number))
    assert not limit.exceeded(number, number)
    assert limit.exceeded(number + 1, number + 1)


def test_what_could_not_be_read_is_reported_by_file_and_place() -> None:
    counts = {"messages": 10, "dead_read": 9} | {
        f"unread: f{number}.gz is damaged after line {number}": 1 for number in range(9)
    }
    (told,) = losses(Totals(counts), MaxDead(), allow_unread=False)
    assert "f0.gz is damaged after line 0; f1.gz is damaged after line 1; " in told
    assert "and 4 or more others" in told
    assert "--allow_unread" in told
    assert losses(Totals(counts), MaxDead(), allow_unread=True) == []


@pytest.mark.parametrize("allow_unread", [True, False])
def test_what_could_not_be_written_fails_the_job(allow_unread: bool) -> None:
    (told,) = losses(Totals({"messages": 10, Metric.DEAD_WRITE: 1}), MaxDead(), allow_unread)
    assert "1 requests could not be written" in told
