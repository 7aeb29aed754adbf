"""A Flex Template is what Dataflow's API takes, and its package works where nothing else is."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from google.cloud.dataflow_v1beta3.types import ContainerSpec, TemplateMetadata
from images import ICE_CREAM, complaints_of_hadolint, copied_paths
from installed import Installed

from chronon_beam.pipeline.cli import main
from chronon_beam.pipeline.templates.flex_template import flags_of_a_launch, metadata, pattern

IMAGE = "europe-docker.pkg.dev/project/jobs/ice-cream:1"
NAME = "ice_cream.group_by.ice_cream_group_by"

TAKEN = {
    "source": [
        "kafka://a:9092,b:9092/orders?start=earliest&schema=id BIGINT",
        "pubsub://project/subscriptions/orders",
    ],
    "kafka_bootstrap": ["a:9092,b:9092"],
    "latency": ["low", "100ms"],
    "store": ["bigtable://project/instance", "bigtable://project/instance?max_age=none"],
    "trigger": ["every_event", "buffered:100ms"],
    "dead_letters": ["kafka://broker:9092/dead"],
    "shards": ["8"],
}
REFUSED = {
    "source": ["file:events.jsonl", "kafka://broker/orders", "kafka://user:secret@b:9092/orders"],
    "kafka_bootstrap": ["broker"],
    "latency": ["fast"],
    "store": ["project/instance"],
    "trigger": ["buffered"],
    "dead_letters": ["dead"],
    "tiling": ["striped"],
    "shards": ["-1", "many"],
}
FLAGS = {flag.dest: flag for flag in flags_of_a_launch()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template") / "flex"
    words = ["--group_by", str(ICE_CREAM), "--image", IMAGE, "--output", str(folder)]
    assert main(["template", "dataflow", *words]) == 0
    return folder


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_files_are_what_dataflows_api_takes(folder: Path) -> None:
    spec = ContainerSpec.from_json((folder / "template.json").read_text("utf-8"))
    assert (spec.image, spec.default_environment.sdk_container_image) == (IMAGE, IMAGE)
    told = TemplateMetadata.from_json((folder / "metadata.json").read_text("utf-8"))
    assert spec.metadata == told
    assert (told.name, told.streaming) == (NAME, True)
    with pytest.raises(Exception, match="no field named"):
        ContainerSpec.from_json('{"imagee": ""}')


def test_every_parameter_is_documented_and_has_a_pattern() -> None:
    parameters: Any = metadata(NAME)["parameters"]
    assert {each["name"] for each in parameters} == set(FLAGS)
    for each in parameters:
        assert len(each["helpText"]) > 20
        assert "%" not in each["helpText"].replace(" %", "")
        (posix,) = each["regexes"]
        # What POSIX does not know: classes by a letter, lazy repeats, groups of a kind.
        assert not re.search(r"\\[a-zA-Z]|[*+?]\?|\(\?", posix)
        assert posix.startswith("^(")
        assert posix.endswith(")$")


@pytest.mark.parametrize("name", sorted(FLAGS))
def test_pattern_takes_what_the_flag_takes(name: str) -> None:
    flag = FLAGS[name]
    values = [*TAKEN.get(name, ()), *(flag.choices or ())]
    values += [] if flag.default is None else [str(flag.default)]
    assert values
    assert all(re.search(pattern(flag), value) for value in values)
    assert not any(re.search(pattern(flag), value) for value in REFUSED.get(name, ()))


def test_image_is_built_from_files_that_are_there(folder: Path) -> None:
    dockerfile = folder / "Dockerfile"
    assert complaints_of_hadolint(dockerfile) == []
    assert copied_paths(dockerfile) == {
        "launch.py",
        "group_by.json",
        "constraints.txt",
        wheel(folder).name,
    }
    assert all((folder / path).is_file() for path in copied_paths(dockerfile))


def wheel(folder: Path) -> Path:
    (found,) = folder.glob("*.whl")
    return found


def test_staged_package_launches_where_nothing_else_is_installed(
    folder: Path, tmp_path: Path
) -> None:
    """It is asked for what no flag of `run` is, by the file that Dataflow's launcher runs."""
    installed = Installed(wheel(folder), tmp_path)
    told = installed.fails("python", str(folder / "launch.py"), "--sorce=kafka://b:9092/t")
    assert "--sorce: did you mean --source?" in told


def test_same_group_by_gives_the_same_files(folder: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    words = ["--group_by", str(folder / "group_by.json"), "--image", IMAGE, "--output", str(again)]
    assert main(["template", "dataflow", *words]) == 0
    assert {path.name for path in again.iterdir()} == {path.name for path in folder.iterdir()}
    assert all((again / path.name).read_bytes() == path.read_bytes() for path in folder.iterdir())
