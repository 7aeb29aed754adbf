"""Run a prepared job on a runner, show how it goes, and say what came of it."""

import os
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult, PipelineState
from apache_beam.version import __version__ as beam_version

from chronon_beam.io.dead_letters import open_dead_letters
from chronon_beam.pipeline.job import build
from chronon_beam.pipeline.options import JobOptions, UsageError
from chronon_beam.pipeline.prepare import Prepared, prepare
from chronon_beam.pipeline.progress import (
    ProgressLine,
    committed,
    summary,
    tallied_since,
    tally,
)


class JobFailed(RuntimeError):
    """The job ended without being done; the message is the cause in the user's terms."""


def run(options: JobOptions, runner: str, beam_flags: Sequence[str]) -> dict[str, int]:
    """Run a job to its end and print a summary to stderr.

    Args:
        options: the job's flags.
        runner: Beam's name of the runner.
        beam_flags: what Beam is told besides, as flags.

    Returns:
        The counts: messages, rows, filtered, tiles, late, dead, written.

    Raises:
        JobFailed: it ended in another state than done.
        GroupByError, QueryError, UsageError: as `prepare`.
    """
    began = time.monotonic()
    _say(f"{options.group_by}: planning the query with Spark")
    prepared = prepare(options)
    dead_letters = open_dead_letters(options.dead_letters)
    pipeline_options = PipelineOptions(flags=list(beam_flags))
    _say(f"{prepared.job.plan.group_by.name}: running on {runner}")
    before = dict(tally)
    with ProgressLine(lambda: tallied_since(before)):
        result = _run(prepared, dead_letters, runner, pipeline_options)
    counts = committed(result, before)
    _say(summary(counts, time.monotonic() - began))
    return counts


def _run(
    prepared: Prepared, dead_letters: beam.PTransform, runner: str, options: PipelineOptions
) -> PipelineResult:
    pipeline = beam.Pipeline(runner=beam_runner(runner, prepared, options), options=options)
    build(pipeline, prepared.job, prepared.source.transform(), dead_letters)
    try:
        result = pipeline.run()
        state = result.wait_until_finish()
    except RuntimeError as error:
        raise JobFailed(f"the job failed: {error}") from error
    if state not in (PipelineState.DONE, None):
        raise JobFailed(f"the job ended {state}")
    return result


def beam_runner(
    name: str, prepared: Prepared, options: PipelineOptions
) -> "beam.runners.PipelineRunner | str":
    """The runner for a name.

    Beam's own DirectRunner tries Prism first, and downloads it; ours is the embedded one at once.
    """
    if name == "DirectRunner":
        return _embedded(prepared)
    if name == "PrismRunner":
        location = options.view_as(beam.options.pipeline_options.PrismRunnerOptions)
        location.prism_location = location.prism_location or _prism()
    return name


def _embedded(prepared: Prepared) -> "beam.runners.PipelineRunner":
    # Only the older of the two embedded runners knows processing-time timers.
    if prepared.job.tiled and not prepared.job.trigger.every_event:
        from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner

        return BundleBasedDirectRunner()
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    return FnApiRunner()


def _prism() -> str:
    """Path of the Prism binary on this machine; raises UsageError if it has none."""
    places = [
        shutil.which("prism"),
        Path(os.environ.get("GOBIN", "")) / "prism" if os.environ.get("GOBIN") else None,
        Path.home() / "go" / "bin" / "prism",
    ]
    found = next((place for place in places if place and Path(place).is_file()), None)
    if found is None:
        raise UsageError(
            "--runner=PrismRunner: no prism on this machine: install it with `go install "
            f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{beam_version}`, or give "
            "--prism_location=PATH"
        )
    return str(found)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
