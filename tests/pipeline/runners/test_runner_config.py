"""Ways to run as files: complete, commented, and overridden by the command line."""

from pathlib import Path

import pytest

from chronon_beam.pipeline.options import UsageError
from chronon_beam.pipeline.runners.runner_config import config_flags, names, with_config

CONFIGS = Path(__file__).parents[3] / "runner_configs"


def test_every_way_to_run_has_a_config() -> None:
    assert names() == ["direct", "flink_cluster", "flink_local", "prism"]


@pytest.mark.parametrize("name", names())
def test_every_setting_of_a_config_is_explained(name: str) -> None:
    explained = False
    for line in (CONFIGS / f"{name}.yaml").read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            assert explained, line
        # A comment speaks for the settings right below it.
        explained = bool(line.strip())
    assert config_flags(name)[0].startswith("--runner=")


def test_booleans_become_bare_flags(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("runner: FlinkRunner\nstreaming: true\nobject_reuse: false\nparallelism: 3\n")
    assert config_flags(str(config)) == ["--runner=FlinkRunner", "--streaming", "--parallelism=3"]


@pytest.mark.parametrize("given", [["--runner_config", "direct"], ["--runner_config=direct"]])
def test_flags_of_the_command_line_come_last_and_win(given: list[str]) -> None:
    assert with_config(["run", "--shards=9", *given]) == [
        "run",
        "--runner=DirectRunner",
        "--shards=1",
        "--shards=9",
    ]


def test_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("runner: FlinkRunner\nparalelism: 3\n")
    with pytest.raises(UsageError, match="unknown key 'paralelism': did you mean 'parallelism'"):
        config_flags(str(config))


def test_unknown_name_lists_ours() -> None:
    with pytest.raises(UsageError, match="one of direct, flink_cluster, flink_local, prism"):
        config_flags("flnk")


def test_file_that_is_not_a_mapping_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("- runner\n")
    with pytest.raises(UsageError, match="`name: value`"):
        config_flags(str(config))
