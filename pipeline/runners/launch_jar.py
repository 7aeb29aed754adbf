"""The jar of a template: Flink's job server, a pipeline, and a main class that takes arguments.

Beam's own executable jars hold the pipeline's options as they were when the jar was built, and
their main class takes no arguments. `Launch.java` replaces options of the jar by the arguments of a
launch; the runner then gives the options to the workers.

The jar does not depend on the machine and the time of its build: the same job gives the same bytes.
"""

import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePath
from typing import Any
from unittest.mock import patch

import apache_beam as beam
from apache_beam.internal import cloudpickle_pickler
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.portability.python_urns import GENERIC_COMPOSITE_TRANSFORM
from apache_beam.runners.portability.portable_runner import JobServiceHandle, PortableRunner
from google.protobuf import json_format

from chronon_beam.pipeline.runners import worker_logs, worker_metrics
from chronon_beam.pipeline.runners.flink import flink_arguments
from chronon_beam.pipeline.runners.flink_jar import extend
from chronon_beam.pipeline.runners.latency import Latency
from chronon_beam.transforms.spark.java_source import class_files

MAIN_CLASS = "chrononbeam.Launch"
_SOURCE = Path(__file__).with_name("Launch.java")
_FOLDER = "BEAM-PIPELINE"
_NOT_KEPT = ("runner", "flink_version", "flink_master", "parallelism", "environment_config")
"""Options that mean something only on the machine that builds the jar, or that a launch decides."""


@dataclass(frozen=True)
class LaunchJar:
    """What is in the jar of a template besides Flink's job server.

    Attributes:
        job: the name of the job.
        about: the first line of `--help`.
        parameters: what a launch may give, as JSON objects; see `Launch.java`.
        build: applies the job to the root of a pipeline.
        latency: how long events may wait.
    """

    job: str
    about: str
    parameters: Sequence[dict[str, object]]
    build: Callable[[beam.Pipeline], Any]
    latency: Latency

    def write(self, job_server: Path, target: Path) -> None:
        """Write the jar; `job_server` is that of the Flink version that launches it."""
        classes = class_files(_SOURCE.read_text(encoding="utf-8"), [job_server])
        extend(job_server, target, MAIN_CLASS, {**classes, **self.documents()})

    def documents(self) -> dict[str, bytes]:
        """The job, its options and what a launch may give, by the names of the jar's entries."""
        options = pipeline_options(self.latency)
        with _repeatable(self.job):
            root = beam.Pipeline(options=options)
            self.build(root)
            pipeline = PortableRunner.get_proto_pipeline(root, options)
        strip(pipeline)
        launch = {
            "job": self.job,
            "about": self.about,
            "buffer_timeout_ms": self.latency.buffer_ms,
            "parameters": list(self.parameters),
        }
        return {
            f"{_FOLDER}/pipeline-manifest.json": _json({"defaultJobName": self.job}),
            f"{_FOLDER}/launch.json": _json(launch),
            f"{_FOLDER}/{self.job}/pipeline.json": _json(json_format.MessageToDict(pipeline)),
            f"{_FOLDER}/{self.job}/pipeline-options.json": _json(self._options(options)),
        }

    def _options(self, options: PipelineOptions) -> dict[str, Any]:
        known = options.get_all_options(drop_default=True, retain_unknown_options=True)
        kept = {name: value for name, value in known.items() if name not in _NOT_KEPT}
        kept |= {"flink_master": "[auto]", "job_name": self.job}
        return json_format.MessageToDict(JobServiceHandle.encode_pipeline_options(kept))


def pipeline_options(latency: Latency) -> PipelineOptions:
    """The options of a live job on a cluster, with workers that are processes."""
    workers = ["--environment_type=PROCESS", '--environment_config={"command": "set at launch"}']
    flags = flink_arguments(["--flink_master=set at launch", *workers], live=True, latency=latency)
    return PipelineOptions([*flags, worker_logs.FLAG, worker_metrics.FLAG])


def strip(pipeline: beam_runner_api_pb2.Pipeline) -> None:
    """Take out what differs from build to build: texts for people, and the order of some lists."""
    for environment in pipeline.components.environments.values():
        del environment.dependencies[:]
        del environment.display_data[:]
    for transform in pipeline.components.transforms.values():
        del transform.display_data[:]
        if transform.spec.urn == GENERIC_COMPOSITE_TRANSFORM:
            transform.spec.payload = b""
        elif transform.spec.urn == common_urns.primitives.PAR_DO.urn:
            par_do = beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload)
            transform.spec.payload = par_do.SerializeToString(deterministic=True)
    del pipeline.display_data[:]
    pipeline.requirements.sort()


@contextmanager
def _repeatable(job: str) -> Iterator[None]:
    """Until the end of the context, pickles have no random ids and no paths of this machine.

    The ids keep apart what steps of several jobs in one process have in memory. The workers of a
    launch run one job, so ids that follow from the job's name do. Pickled lambdas have the path of
    their file, of which the name is kept.
    """
    ids = (uuid.uuid5(uuid.NAMESPACE_URL, f"{job}/{number}") for number in count())
    with (
        patch.object(uuid, "uuid4", lambda: next(ids)),
        patch.object(cloudpickle_pickler.DEFAULT_CONFIG, "filepath_interceptor", _file_name),
    ):
        yield


def _file_name(path: str) -> str:
    """The last part of a path: enough for a trace."""
    return PurePath(path).name


def _json(content: Any) -> bytes:
    return json.dumps(content, indent=1, sort_keys=True).encode()
