"""Chooses Beam's runner by name, and completes the flags that our jobs need on it."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from apache_beam.options.pipeline_options import StandardOptions
from apache_beam.runners.runner import PipelineRunner
from apache_beam.version import __version__ as beam_version

from chronon_beam.pipeline.options import UsageError, nearest
from chronon_beam.pipeline.runners.flink import (
    LOCAL_MASTERS,
    dangers,
    flink,
    flink_arguments,
    parse_flags,
)
from chronon_beam.pipeline.runners.latency import DEFAULT, LEVELS, Latency


@dataclass(frozen=True)
class Chosen:
    """A runner with its flags.

    Attributes:
        runner: Beam's runner, by name or as an object.
        flags: all flags for Beam.
        workers_here: whether the workers are threads of this process.
        counts_all: whether the runner's metrics have all bundles: Prism's have only the last one,
            and those of the older embedded runner lack bundles that timers start.
        cluster: `host:port` of the Flink cluster on which the job goes on when this process has
            ended; empty if the job ends with this process.
    """

    runner: PipelineRunner | str
    flags: list[str]
    workers_here: bool = True
    counts_all: bool = True
    cluster: str = ""


@contextmanager
def runner_of(
    name: str,
    buffered: bool,
    flags: Sequence[str],
    live: bool = False,
    latency: Latency = LEVELS[DEFAULT],
) -> Iterator[Chosen]:
    """The runner called `name`; processes that are started for it end with the context.

    Args:
        name: DirectRunner, PrismRunner, FlinkRunner or any other of Beam's.
        buffered: whether the job has processing-time timers: changed tiles are written by them.
        flags: what the user gives Beam.
        live: whether the source never ends.
        latency: how long events of such a source may wait.

    Raises:
        UsageError: what the runner needs is not on this machine.
    """
    if name == "DirectRunner":
        # Imported late: not every command runs a job.
        from chronon_beam.pipeline.runners.embedded import embedded_runner

        yield Chosen(embedded_runner(buffered), list(flags), counts_all=not buffered)
    elif name == "PrismRunner":
        complete = with_default(flags, "prism_location", _prism)
        yield Chosen(name, complete, counts_all=False)
    elif name == "FlinkRunner":
        for warning in warnings_of(name, flags, live):
            print(f"warning: {warning}", file=sys.stderr, flush=True)
        with flink(flags, live, latency) as complete:
            yield _on_flink(name, complete)
    else:
        yield Chosen(name, list(flags), workers_here=False)


def _on_flink(name: str, complete: list[str]) -> Chosen:
    flags = parse_flags(complete)
    here, master = flags["environment_type"] == "LOOPBACK", flags["flink_master"] or ""
    lasts = not here and master not in LOCAL_MASTERS
    return Chosen(name, complete, here, cluster=master if lasts else "")


def check_runner(name: str, flags: Sequence[str]) -> None:
    """Refuse a runner that is not there, before anything is started.

    Raises:
        UsageError: Beam has no runner of that name, or what it needs is not on this machine.
    """
    known = StandardOptions.KNOWN_RUNNER_NAMES
    if "." not in name and name.lower().removesuffix("runner") not in map(_short, known):
        near = nearest(name, known)
        hint = f"did you mean {near}?" if near else f"choose one of {', '.join(known)}"
        raise UsageError(f"--runner={name}: Beam has no such runner: {hint}")
    if name == "PrismRunner":
        with_default(flags, "prism_location", _prism)


def _short(name: str) -> str:
    return name.rpartition(".")[2].lower().removesuffix("runner")


def warnings_of(name: str, flags: Sequence[str], live: bool | None) -> list[str]:
    """Warnings about these flags for a job on the runner called `name`: one line each.

    Args:
        name: Beam's name of the runner.
        flags: what the user gives Beam.
        live: whether the source never ends; None if that is not known: then the warnings that hold
            for both.
    """
    if name != "FlinkRunner":
        return []
    if live is None:
        ending = warnings_of(name, flags, live=False)
        return [line for line in warnings_of(name, flags, live=True) if line in ending]
    return dangers(flink_arguments(flags, live=live), live=live)


def with_job_name(runner: str, flags: Sequence[str], job_name: str) -> list[str]:
    """The flags of a job; those for Flink get `--job_name`, by which Flink lists it, if missing."""
    return (
        with_default(flags, "job_name", lambda: job_name) if runner == "FlinkRunner" else [*flags]
    )


def with_default(flags: Sequence[str], name: str, value: Callable[[], str]) -> list[str]:
    """The flags, with `--name` added unless they have it."""
    given = any(flag == f"--{name}" or flag.startswith(f"--{name}=") for flag in flags)
    return list(flags) if given else [*flags, f"--{name}={value()}"]


def _prism() -> str:
    places = [
        shutil.which("prism"),
        Path(os.environ.get("GOBIN", ".")) / "prism",
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
