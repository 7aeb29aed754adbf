"""What the log says of letters: one line per cause, however many letters it has."""

import logging

import pytest
from letters import BAD, letter, run

from chronon_beam.io.dead_letters.log import RateLimit
from chronon_beam.io.dead_letters.sinks import open_dead_letters


def test_without_a_uri_failures_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="chronon_beam.io.dead_letters.log"):
        run(open_dead_letters(), [BAD, BAD._replace(step="Write")])
    assert "dead letter from Decode, a.jsonl at 3: not JSON" in caplog.text
    assert "dead letter from Write, a.jsonl at 3: not JSON" in caplog.text


def test_many_letters_of_one_cause_are_a_line_and_one_a_minute() -> None:
    now = [0.0]
    limit = RateLimit(first=2, period_s=60, clock=lambda: now[0])
    batch = [letter(BAD._replace(position=index)) for index in range(1000)]
    other = letter(BAD._replace(step="Evaluate", reason="[DIVIDE_BY_ZERO] division"))
    shown = []
    for second in range(130):
        now[0] = second
        lines = limit.lines([*batch, other] if second == 100 else batch)
        shown += [(second, line.partition("a.jsonl at ")[2]) for line in lines]
    more = " (and {} more of this kind since the last such line)"
    assert shown == [
        (0, "0: not JSON" + more.format("999")),
        (1, "0: not JSON" + more.format("999")),
        (61, "0: not JSON" + more.format("59,999")),
        (100, "3: [DIVIDE_BY_ZERO] division"),
        (121, "0: not JSON" + more.format("59,999")),
    ]


def test_the_log_cannot_be_read_back() -> None:
    with pytest.raises(ValueError, match="--dead_letters=file:PATH"):
        next(open_dead_letters().read())
