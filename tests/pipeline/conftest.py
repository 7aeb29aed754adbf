"""What the tests of commands are given."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from command_line import EVENTS, ICE_CREAM, Cli, Flag, Ran, run

from chronon_beam.pipeline import cli
from chronon_beam.transforms.spark.session import local_spark


@pytest.fixture(scope="session")
def spark_is_up() -> None:
    """A command that starts Spark says so on stderr: here none is the first."""
    local_spark()


@pytest.fixture
def chronon_beam(spark_is_up: None, capsys: pytest.CaptureFixture[str]) -> Cli:
    def command(*argv: str) -> Ran:
        return run(capsys, argv)

    return command


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"--store=sqlite:{tmp_path / 'features.db'}"


@pytest.fixture(scope="session")
def example(spark_is_up: None, tmp_path_factory: pytest.TempPathFactory) -> Flag:
    """The flag of a store that the example's job has written; for tests that only read it."""

    @cache
    def store(tiling: str = "tiled") -> str:
        flag = f"--store=sqlite:{tmp_path_factory.mktemp(tiling) / 'features.db'}"
        assert cli.main(["run", ICE_CREAM, EVENTS, flag, f"--tiling={tiling}"]) == 0
        return flag

    return store


@pytest.fixture
def declared(tmp_path: Path) -> Flag:
    """A GroupBy of one's own: the flag that names it."""

    def declare(
        aggregations: str = "Aggregation('price', Operation.SUM, [Window(6, TimeUnit.HOURS)])",
        selects: str = "'user', 'price'",
        more: str = "",
        keys: str = "'user'",
    ) -> str:
        file = tmp_path / "own.py"
        file.write_text(
            "from chronon_beam.api import *\n"
            "own = GroupBy(name='t.own', keys=[" + keys + "], aggregations=[" + aggregations + "],"
            "sources=Source(EventSource(query=Query(select("
            + selects
            + "), time_column='t'"
            + more
            + "))))"
        )
        return f"--group_by={file}"

    return declare


@pytest.fixture
def events(tmp_path: Path) -> Flag:
    """Lines as a source: the flag that names it."""

    def write(
        *lines: dict[str, Any] | str, schema: str = "user STRING, price DOUBLE, t BIGINT"
    ) -> str:
        file = tmp_path / "events.jsonl"
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        file.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
        return f"--source=file:{file}?schema={schema}"

    return write
