"""`chronon-beam jobs`, against answers that Flink has given."""

import json
import socket

import pytest
from answering import (
    BAD_STORE,
    CHECKPOINT,
    CHECKPOINTS,
    JOB,
    LOST_WORKER,
    ORDERS,
    STARTED_MS,
    Flink,
    Given,
    job,
)
from command_line import Cli

OVERVIEW = ("GET", "/jobs/overview")
REQUEST = "a952fa56ea0a21229f1b8cc778f62b7e"
STOP = ("POST", f"/jobs/{JOB}/stop")
SAVEPOINT = ("GET", f"/jobs/{JOB}/savepoints/{REQUEST}")
FAILURES = ("GET", f"/jobs/{JOB}/exceptions")


def test_list_has_a_line_per_job_those_that_run_first(jobs: Cli, flink: Flink) -> None:
    other = "00" * 16
    listed = [job("old", other, "FINISHED", after_ms=5), job()]
    flink(
        {
            OVERVIEW: Given({"jobs": listed}),
            ("GET", f"/jobs/{other}"): Given({"jid": other, "state": "FINISHED", "vertices": []}),
        }
    )
    head, first, second = jobs("list").out.splitlines()
    assert head.split() == ["JOB", "STATE", "UP", "RESTARTS", "PARALLELISM", "GROUPBYS", "ID"]
    assert first.split() == [ORDERS, "RUNNING", "52", "s", "2", "2", ORDERS, JOB[:8]]
    assert second.split() == ["old", "FINISHED", "59", "s", "-", "0", "-", other[:8]]
    as_json = jobs("list", "--json").objects
    assert as_json[0] == {
        "id": JOB,
        "name": ORDERS,
        "group_bys": [ORDERS],
        "state": "RUNNING",
        "started_ms": STARTED_MS,
        "uptime_ms": 52_071,
        "restarts": 2,
        "parallelism": 2,
        "waiting": 0,
    }
    assert (as_json[1]["restarts"], as_json[1]["uptime_ms"]) == (None, 59_995)


def test_list_says_which_jobs_have_no_slots(jobs: Cli, flink: Flink) -> None:
    waiting = {**job(), "tasks": {"running": 1, "scheduled": 2, "total": 3}}
    flink({OVERVIEW: Given({"jobs": [waiting]})})
    assert "RUNNING, 2 tasks without a slot" in jobs("list").out


def test_status_says_all_of_a_job(jobs: Cli, flink: Flink) -> None:
    flink({})
    told = jobs("status", ORDERS).out
    assert f"{ORDERS}  RUNNING  {JOB}" in told
    assert "up          52 s, 2 restarts, parallelism 2" in told
    assert "12 completed, 10 failed" in told
    assert "last checkpoint 12, " in told
    assert "55.9 KiB in 323 ms" in told
    assert f"NoSpace: /data/features.db: the disk is full [while running '{ORDERS}/" in told
    (status,) = jobs("status", JOB[:5], "--json").objects
    assert status["job"]["id"] == JOB
    assert status["checkpoints"]["last"]["path"] == CHECKPOINT["external_path"]
    assert status["failure"]["at_ms"] == STARTED_MS


@pytest.mark.parametrize(
    ("traces", "reason"),
    [
        ([LOST_WORKER], "a Python worker has ended"),
        (["java.util.concurrent.TimeoutException: Heartbeat of TaskManager with id a timed out."],
         "a TaskManager was lost"),
        (["o.a.f.NoResourceAvailableException: Could not acquire the minimum required resources."],
         "the cluster has too few free task slots"),
        (["org.apache.flink.runtime.JobException: Recovery is suppressed by FixedDelayRestart\n"
          f"Caused by: {BAD_STORE}"], "NoSpace: /data/features.db: the disk is full"),
        (["Recovery is suppressed by NoRestartBackoffTimeStrategy", LOST_WORKER],
         "a Python worker has ended"),
        (["a.B: x\n\tat c\nCaused by: a.b.LeastException: what went wrong\n"],
         "LeastException: what went wrong"),
        (["something else"], "something else"),
    ],
)  # fmt: skip
def test_status_tells_the_cause_of_a_failure(
    jobs: Cli, flink: Flink, traces: list[str], reason: str
) -> None:
    entries = [{"stacktrace": trace, "timestamp": STARTED_MS} for trace in traces]
    flink({FAILURES: Given({"exceptionHistory": {"entries": entries}})})
    (status,) = jobs("status", ORDERS, "--json").objects
    assert status["failure"]["reason"].startswith(reason)


def test_status_of_a_job_without_checkpoints_says_so(jobs: Cli, flink: Flink) -> None:
    error = (
        f"org.apache.flink.runtime.rest.NotFoundException: Checkpointing was not enabled for {JOB}."
    )
    flink({("GET", f"/jobs/{JOB}/checkpoints"): Given({"errors": [error]}, 404)})
    assert "checkpoints none" in jobs("status", ORDERS).out


def test_stop_gives_the_path_of_the_savepoint(jobs: Cli, flink: Flink) -> None:
    done = {"status": {"id": "COMPLETED"}, "operation": {"location": "s3://b/savepoint-1"}}
    answers = flink(
        {
            OVERVIEW: [Given({"jobs": [job()]})] * 3 + [Given({"jobs": [job(state="FINISHED")]})],
            STOP: Given({"request-id": REQUEST}, 202),
            SAVEPOINT: [Given({"status": {"id": "IN_PROGRESS"}}), Given(done)],
        }
    )
    ran = jobs("stop", ORDERS, "--savepoint_dir=s3://b")
    assert (ran.code, ran.out) == (0, "s3://b/savepoint-1\n")
    (body,) = [body for method, path, body in answers.asked if (method, path) == STOP]
    assert json.loads(body) == {"drain": False, "targetDirectory": "s3://b"}


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        ("CheckpointException: Failure reason: Not all required tasks are currently running.",
         "not all of its tasks are running"),
        ("java.lang.IllegalStateException: No savepoint directory configured. You can either "
         "configure a cluster-wide default via key 'state.savepoints.dir'.",
         "name one with --savepoint_dir"),
        ("java.io.IOException: x\nCaused by: java.io.IOException: /svp: Read-only file system",
         "IOException: /svp: Read-only file system"),
    ],
)  # fmt: skip
def test_stop_without_a_savepoint_says_why(jobs: Cli, flink: Flink, cause: str, told: str) -> None:
    failed = {"failure-cause": {"class": "x", "stack-trace": f"a.b.FirstException: {cause}"}}
    flink(
        {
            STOP: Given({"request-id": REQUEST}, 202),
            SAVEPOINT: Given({"status": {"id": "COMPLETED"}, "operation": failed}),
        }
    )
    ran = jobs("stop", ORDERS)
    assert (ran.code, ran.out) == (1, "")
    assert told in ran.err
    assert "it was not stopped" in ran.err


@pytest.mark.parametrize("command", ["stop", "cancel"])
def test_job_that_has_ended_is_not_ended_again(jobs: Cli, flink: Flink, command: str) -> None:
    flink({OVERVIEW: Given({"jobs": [job(state="CANCELED")]})})
    ran = jobs(command, ORDERS)
    assert ran.code == 1
    assert f"{ORDERS} ({JOB}) has ended already: it is CANCELED" in ran.err


def test_cancel_waits_for_the_end(jobs: Cli, flink: Flink) -> None:
    answers = flink(
        {
            OVERVIEW: [
                Given({"jobs": [job()]}),
                Given({"jobs": [job(state="CANCELLING")]}),
                Given({"jobs": [job(state="CANCELED")]}),
            ],
            ("PATCH", f"/jobs/{JOB}?mode=cancel"): Given({}, 202),
        }
    )
    assert jobs("cancel", ORDERS, "--json").objects == [{"id": JOB}]
    assert len([path for _, path, _ in answers.asked if path == "/jobs/overview"]) == 3


TWO = [job(), job("shop.returns.v1", "ba" + "0" * 30)]


@pytest.mark.parametrize(
    ("listed", "word", "told"),
    [
        (TWO, "shop.ordres.v1", f"has no job shop.ordres.v1: did you mean {ORDERS}"),
        (TWO, "ba1f4", "the cluster has no job ba1f4: did you mean ba"),
        (TWO, "zzz", f"the cluster has no job zzz: it has {ORDERS}, shop.returns.v1"),
        ([], "zzz", "the cluster has no job zzz: it has none"),
        ([job(), job(job_id="ba9" + "0" * 29)], "ba9", "ba9 is the beginning of several ids: ba"),
        ([job(), job(job_id="0" * 32)], ORDERS, "several jobs, choose one by its id: ba"),
    ],
)
def test_word_that_is_no_job_names_those_it_may_be(
    jobs: Cli, flink: Flink, listed: list[dict], word: str, told: str
) -> None:
    flink({OVERVIEW: Given({"jobs": listed})})
    ran = jobs("status", word)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err


def test_name_means_the_job_that_has_not_ended(jobs: Cli, flink: Flink) -> None:
    ended = job(job_id="0" * 32, state="CANCELED", after_ms=9)
    flink({OVERVIEW: Given({"jobs": [ended, job()]})})
    assert jobs("status", ORDERS, "--json").objects[0]["job"]["id"] == JOB


def test_no_cluster_is_reported_with_the_remedy(
    jobs: Cli, monkeypatch: pytest.MonkeyPatch, flink: Flink
) -> None:
    monkeypatch.delenv("CHRONON_BEAM_FLINK_MASTER", raising=False)
    ran = jobs("list")
    assert (ran.code, "Name its REST API with --flink_master=HOST:PORT" in ran.err) == (2, True)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        ran = jobs("list", f"--flink_master=127.0.0.1:{unused.getsockname()[1]}")
    assert ran.code == 1
    assert "no Flink answers at http://127.0.0.1:" in ran.err
    assert "Connection refused" in ran.err
    other = flink({OVERVIEW: Given("<html>")})
    assert "is not the REST API of a Flink" in jobs("list", f"--flink_master={other.url}").err


def test_refusal_of_flink_is_reported_by_its_cause(jobs: Cli, flink: Flink) -> None:
    trace = "java.lang.RuntimeException: a\n\tat b\nCaused by: a.b.DeepestException: no leader\n"
    flink({OVERVIEW: Given({"errors": ["Internal server error.", trace]}, 500)})
    ran = jobs("list")
    assert ran.code == 1
    assert "Flink answers 500 to GET /jobs/overview: DeepestException: no leader" in ran.err


def test_status_is_printed_again_until_it_is_enough(
    jobs: Cli, flink: Flink, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = Given({"errors": ["enough"]}, 503)
    flink({OVERVIEW: [Given({"jobs": [job()]})] * 3 + [refused]})  # the first time to find the job
    ran = jobs("status", ORDERS, "--watch=0.01", "--json")
    assert len(ran.objects) == 2
    assert (ran.code, "enough" in ran.err) == (1, True)


def test_checkpoint_that_was_deleted_is_not_shown(jobs: Cli, flink: Flink) -> None:
    latest = {**CHECKPOINTS["latest"], "completed": {**CHECKPOINT, "discarded": True}}
    flink({("GET", f"/jobs/{JOB}/checkpoints"): Given({**CHECKPOINTS, "latest": latest})})
    assert jobs("status", ORDERS, "--json").objects[0]["checkpoints"]["last"] is None
