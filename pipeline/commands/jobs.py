"""`chronon-beam jobs`: starts, lists, shows, stops, restarts and cancels jobs on Flink."""

import os
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING

from chronon_beam.pipeline.command import DONE, Command, CommandGroup
from chronon_beam.pipeline.options import UsageError

if TYPE_CHECKING:
    from chronon_beam.pipeline.jobs.answers import ListedJob
    from chronon_beam.pipeline.jobs.rest import FlinkRest

_EXAMPLE = """example:
  chronon-beam jobs list --flink_master=jobmanager:8081
  chronon-beam jobs status shop.orders.v1

$CHRONON_BEAM_FLINK_MASTER is used where --flink_master is not given. docs/jobs.md shows the life of
a job of examples/, and lists the fields of --json."""

_LIST = """example:
  chronon-beam jobs list --flink_master=jobmanager:8081 --watch"""

_STATUS = """example:
  chronon-beam jobs status shop.orders.v1 --json"""

_STOP = """example:
  chronon-beam jobs stop shop.orders.v1 --savepoint_dir=s3://bucket/savepoints

Prints the path of the savepoint, from which the job can go on."""

_START = """example:
  chronon-beam jobs start job.jar --source kafka://broker:9092/ice_cream \\
      --store bigtable://project/instance --parallelism 4

The jar is made by `chronon-beam template flink`. Flags that are not listed are its arguments, as
after `flink run job.jar`; `java -jar job.jar --help` lists them. Prints the id of the job once all
of it runs."""

_RESTART = """example:
  chronon-beam jobs restart shop.orders.v1 --parallelism 8

A job that runs is stopped with a savepoint; one that has ended goes on from its newest savepoint
or checkpoint. Flags that are not listed are arguments of the jar that change. Prints the new id."""

_CANCEL = """example:
  chronon-beam jobs cancel 5c6d

What the job has computed since its last checkpoint is lost, unless it is in the store."""

_VARIABLE = "CHRONON_BEAM_FLINK_MASTER"


def _add_cluster(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--flink_master",
        metavar="HOST:PORT",
        help=f"the REST API of the JobManager, or its URL (default: ${_VARIABLE})",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, one object per line")


def _add_job(parser: ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", help="its id, the beginning of its id, or its name")
    _add_cluster(parser)


def _add_watch(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--watch",
        nargs="?",
        const=2.0,
        type=float,
        metavar="SECONDS",
        help="print it again every 2 seconds, or as often as this says, until Ctrl-C",
    )


def _address(arguments: Namespace) -> str:
    address = arguments.flink_master or os.environ.get(_VARIABLE)
    if not address:
        raise UsageError(
            f"which cluster? Name its REST API with --flink_master=HOST:PORT or ${_VARIABLE}"
        )
    return address


def _flink(arguments: Namespace) -> "FlinkRest":
    from chronon_beam.pipeline.jobs.rest import FlinkRest

    return FlinkRest(_address(arguments))


def _job(arguments: Namespace) -> "tuple[FlinkRest, ListedJob]":
    from chronon_beam.pipeline.jobs.choose import chosen

    flink = _flink(arguments)
    return flink, chosen(flink.jobs(), arguments.job)


def _watched(arguments: Namespace, show: Callable[[], str]) -> int:
    """Print what `show` gives, once; with --watch, again and again."""
    while True:
        text = show()
        if arguments.watch and sys.stdout.isatty() and not arguments.json:
            text = f"\033[H\033[J{text}"  # over the text that was printed before
        if text:
            print(text, flush=True)
        if not arguments.watch:
            return DONE
        time.sleep(arguments.watch)


def _add_list(parser: ArgumentParser) -> None:
    _add_cluster(parser)
    _add_watch(parser)


def _list(arguments: Namespace, _: list[str]) -> int:
    from chronon_beam.pipeline.jobs import table
    from chronon_beam.pipeline.jobs.status import summaries

    flink = _flink(arguments)

    def show() -> str:
        jobs = summaries(flink)
        return table.json_lines(jobs) if arguments.json else table.table(jobs)

    return _watched(arguments, show)


def _add_status(parser: ArgumentParser) -> None:
    _add_job(parser)
    _add_watch(parser)


def _status(arguments: Namespace, _: list[str]) -> int:
    from chronon_beam.pipeline.jobs import table
    from chronon_beam.pipeline.jobs.choose import chosen
    from chronon_beam.pipeline.jobs.status import status_of

    flink, job = _job(arguments)
    if not job.has_ended:
        flink.gather_metrics(job.job_id)

    def show() -> str:
        status = status_of(flink, chosen(flink.jobs(), arguments.job))
        return table.json_lines([status]) if arguments.json else table.page(status)

    return _watched(arguments, show)


def _add_stop(parser: ArgumentParser) -> None:
    _add_job(parser)
    _add_savepoint_dir(parser)


def _add_savepoint_dir(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--savepoint_dir",
        metavar="URI",
        help="a folder that all machines of the cluster reach, for the savepoint (default: "
        "state.savepoints.dir of the cluster)",
    )


def _add_start(parser: ArgumentParser) -> None:
    parser.add_argument("jar", metavar="JAR", help="what `chronon-beam template flink` has made")
    _add_cluster(parser)
    parser.add_argument(
        "--from_savepoint",
        metavar="PATH|latest",
        help="go on from this savepoint or checkpoint; latest: from the newest one of the last job "
        "of that name",
    )


def _start(arguments: Namespace, words: list[str]) -> int:
    from pathlib import Path

    from chronon_beam.pipeline.jobs import starting, table
    from chronon_beam.pipeline.jobs.second import refuse_running

    flink, jar = _flink(arguments), Path(arguments.jar)
    given = starting.as_arguments(words)
    name, savepoint = starting.job_name(jar, given), arguments.from_savepoint
    refuse_running(flink, _address(arguments), name)
    if savepoint == starting.LATEST:
        savepoint = starting.latest_by_name(flink, name)
        _say(f"going on from {savepoint}")
    launch = starting.Launch(starting.uploaded(flink, jar), tuple(given))
    job_id = starting.start(flink, launch, savepoint, _say)
    print(table.result(arguments.json, job_id, id=job_id))
    return DONE


def _add_restart(parser: ArgumentParser) -> None:
    _add_job(parser)
    _add_savepoint_dir(parser)


def _restart(arguments: Namespace, words: list[str]) -> int:
    from chronon_beam.pipeline.jobs import table
    from chronon_beam.pipeline.jobs.restarting import restart
    from chronon_beam.pipeline.jobs.starting import as_arguments

    flink, job = _job(arguments)
    again = restart(flink, job, as_arguments(words), arguments.savepoint_dir, _say)
    fields = {"id": again.job_id, "savepoint": again.savepoint}
    print(table.result(arguments.json, again.job_id, **fields))
    return DONE


def _stop(arguments: Namespace, _: list[str]) -> int:
    from chronon_beam.pipeline.jobs import ending, table

    flink, job = _job(arguments)
    _say(f"{job.name} ({job.job_id}): stopping with a savepoint")
    savepoint = ending.stop(flink, job, arguments.savepoint_dir)
    print(table.result(arguments.json, savepoint, id=job.job_id, savepoint=savepoint))
    return DONE


def _cancel(arguments: Namespace, _: list[str]) -> int:
    from chronon_beam.pipeline.jobs import ending, table

    flink, job = _job(arguments)
    ending.cancel(flink, job)
    print(table.result(arguments.json, job.job_id, id=job.job_id))
    return DONE


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


COMMAND = CommandGroup(
    "jobs on a Flink cluster: start, list, status, stop, restart, cancel",
    _EXAMPLE,
    {
        "start": Command(
            "start the jar of a template", _START, _add_start, _start, takes_beam_flags=True
        ),
        "list": Command("all jobs of a cluster", _LIST, _add_list, _list),
        "status": Command("how a job does, and why it has failed", _STATUS, _add_status, _status),
        "stop": Command("stop a job with a savepoint; prints its path", _STOP, _add_stop, _stop),
        "restart": Command(
            "start a job again", _RESTART, _add_restart, _restart, takes_beam_flags=True
        ),
        "cancel": Command("end a job without a savepoint", _CANCEL, _add_job, _cancel),
    },
)
