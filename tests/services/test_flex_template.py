"""What Dataflow's launcher runs makes a whole job for Dataflow, and a dry run leaves no trace."""

import runpy
import sys
from contextlib import closing
from pathlib import Path

import pytest
from apache_beam.runners.dataflow.internal import apiclient
from images import ICE_CREAM
from kafka_broker import KafkaBroker

from chronon_beam.io.kv_store import open_store
from chronon_beam.pipeline import cli, entry

IMAGE = "europe-docker.pkg.dev/project/jobs/ice-cream:1"
SCHEMA = "customer_id STRING, ice_cream_flavor STRING, created BIGINT"
GROUP_BY = "ice_cream.group_by.ice_cream_group_by"
DATASET = "ICE_CREAM_GROUP_BY_ICE_CREAM_GROUP_BY_STREAMING"


def launch(launcher: Path, monkeypatch: pytest.MonkeyPatch, *parameters: str) -> int:
    """Run the file as Dataflow does, and give its exit code."""
    # The command's own main also decides what Ctrl-C does, which is the tests' business here.
    monkeypatch.setattr(entry, "main", cli.main)
    monkeypatch.setattr(sys, "argv", [str(launcher), *parameters])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(launcher), run_name="__main__")
    return int(ended.value.code or 0)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[apiclient.Job]:
    """The job descriptions that Dataflow's runner makes."""
    found: list[apiclient.Job] = []

    class Noted(apiclient.Job):
        def __init__(self, *given: object) -> None:
            super().__init__(*given)
            found.append(self)

    monkeypatch.setattr(apiclient, "Job", Noted)
    return found


@pytest.fixture
def launcher(tmp_path: Path) -> Path:
    folder = tmp_path / "flex"
    words = ["--group_by", str(ICE_CREAM), "--image", IMAGE, "--output", str(folder)]
    assert cli.main(["template", "dataflow", *words]) == 0
    return folder / "launch.py"


def test_launcher_makes_the_whole_job_in_a_dry_run(
    kafka_broker: KafkaBroker,
    launcher: Path,
    made: list[apiclient.Job],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", "xyzzy-1979")
    topic = kafka_broker.create_topic("flex_template", 2)
    store = f"sqlite:{tmp_path}/features.db"
    source = f"kafka://{kafka_broker.bootstrap}/{topic}?schema={SCHEMA}"
    google = ("--project=project", "--region=europe-west1", "--temp_location=gs://bucket/temporary")
    given = (f"--source={source}", f"--store={store}", "--job_name=ice-cream", "--dry_run")
    code = launch(launcher, monkeypatch, *given, *google)
    told = capsys.readouterr().err
    assert code == 0, told
    assert "would be handed over to DataflowRunner" in told
    (job,) = made
    components = job.proto_pipeline.components
    assert any(each.unique_name == GROUP_BY for each in components.transforms.values())
    assert all(IMAGE in str(each) for each in components.environments.values())
    assert "xyzzy-1979" not in f"{job.proto} {job.proto_pipeline}"
    with closing(open_store(store)) as opened:
        assert opened.is_empty(DATASET)
