"""`chronon-beam jobs` against the cluster of the tests."""

import json
from typing import Any

import pytest
from orders import GROUP_BY

from chronon_beam.pipeline.cli import main


class Cluster:
    """Commands about the jobs of a cluster, and what they print."""

    def __init__(self, master: str, capsys: pytest.CaptureFixture[str]) -> None:
        self._flags = [f"--flink_master={master}", "--json"]
        self._capsys = capsys

    def jobs(self, *words: str) -> list[dict[str, Any]]:
        """The objects that a command prints, which must succeed."""
        self._capsys.readouterr()
        code = main(["jobs", *words, *self._flags])
        printed = self._capsys.readouterr()
        assert code == 0, printed.err
        return [json.loads(line) for line in printed.out.splitlines()]

    def refused(self, *words: str) -> str:
        """What a command says that must fail."""
        self._capsys.readouterr()
        assert main(["jobs", *words, *self._flags]) == 1
        return self._capsys.readouterr().err

    def state(self, job_id: str) -> str:
        return next(each["state"] for each in self.jobs("list") if each["id"] == job_id)

    def has_measured(self, job_id: str, **expected: int) -> bool:
        """Whether that is what the job's steps have counted and measured."""
        numbers = self.jobs("status", job_id)[0]["metrics"][GROUP_BY]
        return all(numbers.get(name) == number for name, number in expected.items())
