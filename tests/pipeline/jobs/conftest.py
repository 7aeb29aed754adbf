"""What the tests of `chronon-beam jobs` are given."""

from collections.abc import Iterator

import pytest
from answering import WORKING, Answers, Flink, Questions
from command_line import Cli, Ran, run

from chronon_beam.pipeline.jobs import rest


@pytest.fixture
def flink(monkeypatch: pytest.MonkeyPatch) -> Iterator[Flink]:
    """Starts a Flink that gives some answers besides those of one that works."""
    started: list[Answers] = []
    monkeypatch.setattr(rest, "GATHERED_WITHIN_S", 0.0)  # this one has all at once

    def start(given: Questions) -> Answers:
        answers = Answers({**WORKING, **given})
        started.append(answers)
        monkeypatch.setenv("CHRONON_BEAM_FLINK_MASTER", answers.url)
        return answers

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def jobs(capsys: pytest.CaptureFixture[str]) -> Cli:
    def command(*argv: str) -> Ran:
        return run(capsys, ("jobs", *argv))

    return command
