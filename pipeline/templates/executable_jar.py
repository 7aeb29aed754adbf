"""Makes the jar of `chronon-beam template flink` from the flags of a job."""

from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam

from chronon_beam.pipeline.job import build
from chronon_beam.pipeline.options import JobOptions, UsageError
from chronon_beam.pipeline.runners.flink_jar import job_server_jar
from chronon_beam.pipeline.runners.launch_jar import LaunchJar
from chronon_beam.pipeline.templates.launched_job import LaunchedJob, launched_job
from chronon_beam.pipeline.templates.parameters import FLINK, JOB


def write_jar(options: JobOptions, output: str, job_server: str | None) -> None:
    """Plan the job, and write the jar to `output`.

    Raises:
        GroupByError, QueryError, UsageError, ValueError: as `launched_job`.
        NoJobServerJar, FetchError: there is no job server that the jar could hold.
    """
    target = Path(output)
    if not target.resolve().parent.is_dir() or target.is_dir():
        raise UsageError(f"--output={output}: give a file in a folder that is there")
    template = executable_jar(options)
    server, _ = job_server_jar(job_server)
    template.write(Path(server), target)


def executable_jar(options: JobOptions) -> LaunchJar:
    """What the jar holds besides the job server; raises as `launched_job`."""
    launched = launched_job(options)
    name = launched.job.plan.group_by.name
    return LaunchJar(
        job=name,
        about=f"The job of GroupBy {name}. Arguments of a launch:",
        parameters=[each.to_json() for each in (*JOB, *FLINK)],
        build=partial(_build, launched),
        latency=options.latency,
    )


def _build(launched: LaunchedJob, root: beam.Pipeline) -> Any:
    return build(root, launched.job, launched.source, launched.dead_letters)
