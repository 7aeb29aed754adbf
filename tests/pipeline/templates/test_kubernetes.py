"""`chronon-beam template kubernetes`: a folder from which an image is built, and a job is run."""

import json
import re
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml
from images import ICE_CREAM, complaints_of_hadolint, copied_paths

from chronon_beam.pipeline.cli import main
from chronon_beam.pipeline.options import UsageError, job_options
from chronon_beam.pipeline.templates.deployed_job import deployment_of
from chronon_beam.pipeline.templates.kubernetes import COMMAND
from chronon_beam.pipeline.templates.manifests import JAR, Deployment

SOURCE = "kafka://broker:9092/orders?start=earliest&schema=customer_id STRING, " + (
    "ice_cream_flavor STRING, created BIGINT"
)
GIVEN = {
    "group_by": str(ICE_CREAM),
    "source": SOURCE,
    "store": "bigtable://project/instance",
    "image": "registry/ice-cream:1",
    "storage": "s3://bucket/ice_cream",
    "output": "folder",
}


def words(**more: str) -> list[str]:
    return [f"--{name}={value}" for name, value in {**GIVEN, **more}.items()]


def deployed(*more: str, **changed: str) -> Deployment:
    parser = ArgumentParser()
    COMMAND.add_flags(parser)
    arguments = parser.parse_args([*words(**changed), *more])
    return deployment_of(arguments, job_options(arguments))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made by a builder whose environment has a password."""
    folder = tmp_path_factory.mktemp("template") / "ice_cream"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KAFKA_SASL_PASSWORD", "xyzzy-1979")
        assert main(["template", "kubernetes", *words(output=str(folder))]) == 0
    return folder


@pytest.fixture(scope="module")
def jar(folder: Path) -> Iterator[ZipFile]:
    """Opened once: it has 70,000 entries."""
    with ZipFile(folder / "job.jar") as opened:
        yield opened


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_folder_holds_what_the_image_is_built_from(folder: Path) -> None:
    dockerfile = folder / "Dockerfile"
    assert complaints_of_hadolint(dockerfile) == []
    assert {"job.jar", "constraints.txt"} < copied_paths(dockerfile)
    assert all((folder / path).is_file() for path in copied_paths(dockerfile))
    assert re.search(rf"^COPY job.jar {JAR}$", dockerfile.read_text("utf-8"), re.M)


def test_job_is_launched_with_arguments_that_its_jar_takes(folder: Path, jar: ZipFile) -> None:
    job = read(folder / "flink_deployment.yaml")["spec"]["job"]
    manifest = jar.read("META-INF/MANIFEST.MF").decode()
    parameters = json.loads(jar.read("BEAM-PIPELINE/launch.json"))["parameters"]
    assert f"Main-Class: {job['entryClass']}" in manifest
    known = {each["name"]: each for each in parameters}
    given = dict(word.removeprefix("--").split("=", 1) for word in job["args"])
    assert all(re.fullmatch(known[name]["pattern"], value) for name, value in given.items())
    assert {name for name, each in known.items() if each["required"]} <= set(given)
    assert given["environment_type"] == "EXTERNAL"


def test_no_password_is_in_any_file(folder: Path, jar: ZipFile) -> None:
    paths = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".jar"]
    assert len(paths) == 9
    assert not [path for path in paths if b"xyzzy-1979" in path.read_bytes()]
    ours = [name for name in jar.namelist() if name.startswith("BEAM-PIPELINE/")]
    assert not [name for name in ours if b"xyzzy-1979" in jar.read(name)]


def test_names_follow_from_the_group_by() -> None:
    found = deployed()
    assert found.name == "ice-cream-group-by-ice-cream-group-by"
    assert found.secret == f"{found.name}-secrets"
    assert deployed(name="shop", secret="mine").secret == "mine"


def test_values_of_the_launch_are_in_the_deployment() -> None:
    found = deployed(
        "--env=A=b=c",
        "--allow_non_restored_state",
        parallelism="6",
        checkpointing_interval="60000",
        dead_letters="kafka://broker:9092/dead",
    )
    assert found.parallelism == 6
    assert found.environment == {"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT", "A": "b=c"}
    assert f"--source={SOURCE}" in found.arguments
    assert "--checkpointing_interval=60000" in found.arguments
    assert "--dead_letters=kafka://broker:9092/dead" in found.arguments
    assert "--allow_non_restored_state" in found.arguments
    assert not [word for word in found.arguments if word.startswith("--parallelism")]


@pytest.mark.parametrize(("given", "port"), [({}, 9095), ({"metrics_port": "9200"}, 9200)])
def test_workers_serve_their_metrics_where_other_pods_read_them(
    given: dict[str, str], port: int
) -> None:
    found = deployed(**given)
    assert found.worker_metrics == port
    assert {f"--metrics_port={port}", "--metrics_host=0.0.0.0"} <= set(found.arguments)


@pytest.mark.parametrize(
    ("flag", "value", "told"),
    [
        ("storage", "bucket", "--storage=bucket: give a URI that all pods reach"),
        ("name", "Ice_Cream", "--name=Ice_Cream: give at most 45 small letters"),
        ("parallelism", "1", "--parallelism=1: give 2 or more"),
        ("parallelism", "many", "--parallelism=many: give a number"),
        ("checkpointing_interval", "1m", "--checkpointing_interval=1m: give milliseconds"),
        ("metrics_port", "9249", "--metrics_port=9249: give a port that is not 0 or one of 8081"),
        ("metrics_port", "0", "--metrics_port=0: give a port that is not 0"),
        ("metrics_port", "65536", "--metrics_port=65536: give a port, for example 9095"),
        ("env", "A", "--env=A: NAME=VALUE is expected"),
        ("env", "KAFKA_SASL_PASSWORD=xyzzy", "a ConfigMap is no place for a secret"),
        ("source", "file:events.jsonl?schema=a BIGINT", "give a source that never ends"),
    ],
)
def test_wrong_value_is_refused_with_the_remedy(flag: str, value: str, told: str) -> None:
    with pytest.raises(UsageError) as refused:
        deployed(**{flag: value})
    assert told in str(refused.value)
    assert "xyzzy" not in str(refused.value)
