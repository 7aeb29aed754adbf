"""Refuses to start a job while a job of that name is on the cluster and has not ended.

A job on a cluster does not need the command that started it. If that command was killed, the store
does not show that its job still writes there, but the cluster does.
"""

from collections.abc import Sequence

from chronon_beam.pipeline.jobs.rest import FlinkRest
from chronon_beam.pipeline.runners.flink import LOCAL_MASTERS, parse_flags

_RUNS = (
    "{name} runs already on the Flink cluster {master} ({state}, job {id}), whether the command "
    "that started it is still there or not, and two jobs of one GroupBy would write the same "
    "tiles. To take it over: "
)
_STOP = (
    "`chronon-beam jobs stop {name} --flink_master={master}` prints a savepoint; start with "
    "--savepoint_path=SAVEPOINT. "
)
_RESTART = (
    "`chronon-beam jobs restart {name} --flink_master={master}` stops it with a savepoint and "
    "starts it again, with other arguments if you give some. "
)
_OTHER = "A job for another store has a name of its own: --job_name=NAME"


class JobRuns(RuntimeError):
    """A job of that name runs."""


def refuse_second(runner: str, flags: Sequence[str]) -> None:
    """Raise JobRuns if the job would be the second one of its name on its cluster.

    Args:
        runner: Beam's name of the runner; for runners other than Flink's, nothing is done.
        flags: for Beam and its runner, with the name of the job.

    Raises:
        FlinkUnreachable, FlinkRefused: the cluster does not list its jobs.
    """
    given = parse_flags(flags)
    master, name = given.get("flink_master") or LOCAL_MASTERS[0], given.get("job_name")
    if runner != "FlinkRunner" or master in LOCAL_MASTERS or given.get("job_endpoint"):
        return
    refuse_running(FlinkRest(master), master, name or "", _STOP)


def refuse_running(flink: FlinkRest, master: str, name: str, take_over: str = _RESTART) -> None:
    """Raise JobRuns if a job of the cluster that has not ended computes one of the same GroupBys.

    Args:
        flink: the cluster.
        master: its address, as the user has given it.
        name: the name of the job that is to be started.
        take_over: how to go on with the job that runs, for the message.

    Raises:
        FlinkUnreachable, FlinkRefused: the cluster does not list its jobs.
    """
    for job in flink.jobs():
        if _share(job.name, name) and not job.has_ended:
            raise JobRuns(
                f"{_RUNS}{take_over}{_OTHER}".format(
                    name=job.name, id=job.job_id, state=job.state, master=master
                )
            )


def _share(name: str, other: str) -> bool:
    """Whether two jobs have a GroupBy in common; the name of a job of several has all of theirs.

    >>> _share("shop.orders", "shop.orders+shop.returns"), _share("shop.orders", "shop.orders.v2")
    (True, False)
    """
    return not set(name.split("+")).isdisjoint(other.split("+"))
