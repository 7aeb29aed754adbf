"""What is in the jar of a template: the job, and nothing of the machine that has built it."""

import base64
import bz2
import json
import shutil
from argparse import ArgumentParser
from pathlib import Path

import apache_beam
import pytest
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2
from google.protobuf import json_format

from chronon_beam.pipeline.options import UsageError, job_options
from chronon_beam.pipeline.runners.launch_jar import LaunchJar, strip
from chronon_beam.pipeline.templates.executable_jar import executable_jar, write_jar
from chronon_beam.pipeline.templates.flink import COMMAND

ICE_CREAM = Path(__file__).parents[3] / "examples" / "ice_cream"
SCHEMA = "schema=customer_id STRING, ice_cream_flavor STRING, created BIGINT"
FOLDER = "BEAM-PIPELINE/ice_cream.group_by.ice_cream_group_by"


def jar_of(folder: Path, source: str) -> LaunchJar:
    """The jar that the command makes of a copy of the example in `folder`."""
    shutil.copytree(ICE_CREAM, folder / "ice_cream")
    parser = ArgumentParser()
    COMMAND.add_flags(parser)
    group_by = f"--group_by={folder}/ice_cream/group_by.py"
    given = parser.parse_args([group_by, f"--source={source}&{SCHEMA}", "--output=job.jar"])
    return executable_jar(job_options(given))


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return jar_of(
        tmp_path_factory.mktemp("one"), "kafka://one:9092/orders?start=earliest"
    ).documents()


def payloads(pipeline: beam_runner_api_pb2.Pipeline) -> list[bytes]:
    """What the steps hold, with what is pickled in them as it is."""
    found = []
    for transform in pipeline.components.transforms.values():
        found.append(transform.spec.payload)
        if transform.spec.urn == common_urns.primitives.PAR_DO.urn:
            par_do = beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload)
            found.append(bz2.decompress(base64.b64decode(par_do.do_fn.payload)))
    return found


@pytest.mark.usefixtures("spark_is_up")
def test_same_job_is_the_same_bytes_wherever_it_is_built(
    documents: dict[str, bytes], tmp_path: Path
) -> None:
    other = jar_of(tmp_path, "kafka://other:9092/returns?start=latest&group=g")
    assert other.documents() == documents


@pytest.mark.usefixtures("spark_is_up")
def test_nothing_of_the_builder_is_in_the_jar(documents: dict[str, bytes]) -> None:
    pipeline = beam_runner_api_pb2.Pipeline()
    json_format.Parse(documents[f"{FOLDER}/pipeline.json"], pipeline)
    held = [*payloads(pipeline), *documents.values()]
    assert any(b"LaunchedDeadLetters" in each or b"_LaunchedWriter" in each for each in held)
    for secret in ("one:9092", str(ICE_CREAM.parents[1]), str(Path(apache_beam.__file__).parent)):
        assert not [each for each in held if secret.encode() in each], secret


@pytest.mark.usefixtures("spark_is_up")
def test_options_are_safe_and_leave_to_the_launch_what_is_its(documents: dict[str, bytes]) -> None:
    found = json.loads(documents[f"{FOLDER}/pipeline-options.json"])
    options = {name.split(":")[2]: value for name, value in found.items()}
    assert options["streaming"] is True
    assert options["finish_bundle_before_checkpointing"] is True
    assert options["flink_master"] == "[auto]"
    assert "environment_config" not in options
    assert "parallelism" not in options


def test_order_in_which_maps_and_sets_come_is_not_in_the_jar() -> None:
    def pipeline(names: list[str]) -> beam_runner_api_pb2.Pipeline:
        par_do = beam_runner_api_pb2.ParDoPayload()
        for name in names:
            par_do.state_specs[name].SetInParent()
        made = beam_runner_api_pb2.Pipeline(requirements=names)
        spec = made.components.transforms["step"].spec
        spec.urn = common_urns.primitives.PAR_DO.urn
        spec.payload = par_do.SerializeToString()
        strip(made)
        return made

    names = [f"state{number}" for number in range(20)]
    assert pipeline(names) == pipeline(names[::-1])


def test_place_that_is_not_there_is_refused_before_spark_starts() -> None:
    with pytest.raises(UsageError, match="--output=/not/there/job.jar: give a file in a folder"):
        write_jar(None, "/not/there/job.jar", None)  # type: ignore[arg-type]
