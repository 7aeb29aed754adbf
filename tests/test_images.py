"""The Dockerfile, the compose file and CI's workflow: what can be said without running them."""

import json
import re
from argparse import ArgumentParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from check_jsonschema import main as check
from click.testing import CliRunner
from images import complaints_of_hadolint
from make_architecture import ROOMS, ROOT

from chronon_beam.io.sources import open_source
from chronon_beam.pipeline.cli import main
from chronon_beam.pipeline.commands.serve import COMMAND
from chronon_beam.pipeline.runners.flink_jar import ASSEMBLED_VERSION
from chronon_beam.pipeline.runners.worker_pool import PORT

DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
WORKFLOW = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if one.get("image") == COMPOSE["name"]}


def fits(path: Path, schema: str) -> bool:
    """Whether a file is what a published schema says."""
    return CliRunner().invoke(check, ["--builtin-schema", schema, str(path)]).exit_code == 0


def flags() -> dict[str, str]:
    """The flags of the job's service, by name."""
    command, *words = SERVICES["job"]["command"]
    assert command == "run"
    return dict(word.removeprefix("--").split("=", 1) for word in words)


def test_hadolint_has_nothing_against_the_dockerfile(tmp_path: Path) -> None:
    assert complaints_of_hadolint(ROOT / "Dockerfile") == []
    wrong = tmp_path / "Dockerfile"
    wrong.write_text("FROM python\nRUN cd /tmp && sudo pip install x\n", encoding="utf-8")
    assert complaints_of_hadolint(wrong)


def test_dockerfile_is_given_what_the_package_is_made_of() -> None:
    admitted = set(re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.M))
    made_of = {*ROOMS, "runner_configs", "setup.py", "pyproject.toml", "README.md", "LICENSE"}
    assert admitted == made_of
    assert all((ROOT / path).exists() for path in admitted)


def test_dockerfile_installs_extras_and_runs_modules_that_exist() -> None:
    (extras,) = re.findall(r"^ARG EXTRAS=(\S+)$", DOCKERFILE, re.M)
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    assert all(f'"{extra}": ' in setup for extra in extras.split(","))
    modules = re.findall(r"-m (chronon_beam\.\S+)", DOCKERFILE)
    assert modules
    assert all(find_spec(module) for module in modules)


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("compose.yaml", "vendor.compose-spec"),
        (".github/workflows/ci.yml", "vendor.github-workflows"),
    ],
)
def test_file_is_what_its_published_schema_says(path: str, schema: str, tmp_path: Path) -> None:
    assert fits(ROOT / path, schema)
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text((ROOT / path).read_text("utf-8") + "unheard_of: 1\n", encoding="utf-8")
    assert not fits(wrong, schema)


def test_workflow_runs_the_script_of_ci() -> None:
    (job,) = WORKFLOW["jobs"].values()
    assert job["steps"][-1] == {"run": ".ci/run"}
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o100


def test_job_of_the_compose_file_is_one_that_runs(capsys: pytest.CaptureFixture[str]) -> None:
    given = flags()
    source = open_source(given.pop("source"))
    assert not source.bounded
    assert source.ddl
    group_by = given["group_by"].replace("/examples", str(ROOT / "examples" / "ice_cream"))
    told = [f"--{name}={value}" for name, value in {**given, "group_by": group_by}.items()]
    assert main(["plan", "--json", *told]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == []


def test_workers_of_the_compose_file_are_where_the_job_looks_for_them() -> None:
    assert flags()["environment_config"] == f"localhost:{PORT}"
    assert SERVICES["worker"]["network_mode"] == "service:taskmanager"
    assert find_spec(SERVICES["worker"]["entrypoint"][-1])
    versions = {SERVICES[name]["image"] for name in ("jobmanager", "taskmanager")}
    assert {version.startswith(f"flink:{ASSEMBLED_VERSION}.") for version in versions} == {True}


def test_feature_server_of_the_compose_file_reads_what_the_job_writes() -> None:
    command, *words = SERVICES["features"]["command"]
    parser = ArgumentParser()
    COMMAND.add_flags(parser)
    given = parser.parse_args(words)
    assert command == "serve"
    assert given.store == flags()["store"]
    assert SERVICES["features"]["ports"] == [f"127.0.0.1:{given.port}:{given.port}"]
    (_, _, _, probe) = SERVICES["features"]["healthcheck"]["test"]
    assert f":{given.port}/readyz" in probe


def test_volumes_and_services_of_the_compose_file_exist() -> None:
    assert set(OURS) == {"features", "folders", "job", "worker"}
    for service in SERVICES.values():
        assert set(service.get("depends_on", ())) <= set(SERVICES)
        for volume in service.get("volumes", ()):
            place = volume.partition(":")[0]
            assert place in COMPOSE["volumes"] or (ROOT / Path(place)).is_dir()
