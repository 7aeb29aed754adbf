"""`chronon-beam jobs start` and `restart`, against answers that Flink has given."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from answering import CHECKPOINT, JOB, ORDERS, Answers, Flink, Given, job
from command_line import Cli

from chronon_beam.pipeline.jobs.starting import as_arguments
from chronon_beam.pipeline.options import UsageError

OVERVIEW = ("GET", "/jobs/overview")
CONFIG = ("GET", f"/jobs/{JOB}/config")
JAR_ID = "40fd6347-16c6-4f5c-a7a7-1a2d8ed2f4a0_job-0123456789ab.jar"
RUN = ("POST", f"/jars/{JAR_ID}/run")
NEW = "11" * 16
JARS = {"files": [{"id": JAR_ID, "name": JAR_ID.partition("_")[2], "entry": []}]}
ARGUMENTS = ["--source=kafka://b:9092/orders", "--store=sqlite:f.db"]


@pytest.fixture
def jar(tmp_path: Path) -> str:
    path = tmp_path / "job.jar"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "BEAM-PIPELINE/pipeline-manifest.json", f'{{"defaultJobName": "{ORDERS}"}}'
        )
    return str(path)


def config(options: dict[str, str]) -> Given:
    return Given({"jid": JOB, "execution-config": {"user-config": options}})


LAUNCHED = config(
    {"chrononJar": f"file:/tmp/flink-web/{JAR_ID}", "chrononArguments": json.dumps(ARGUMENTS)}
)


def bodies(answers: Answers, question: tuple[str, str]) -> list[Any]:
    """What was sent with a question."""
    asked = [body for method, path, body in answers.asked if (method, path) == question]
    return [json.loads(body) for body in asked]


def starting(tasks: Sequence[dict[str, int]]) -> list[Given]:
    """A new job whose tasks are in these states, one after another."""
    news = [{**job(job_id=NEW), "tasks": each} for each in tasks]
    return [Given({"jobs": [job(state="FINISHED"), new]}) for new in news]


BEFORE = Given({"jobs": [job(state="FINISHED")]})
"""The jobs, before the new one is there."""

RUNS = [{"total": 0}, {"scheduled": 3, "total": 3}, {"running": 3, "total": 3}]


def test_start_uploads_the_jar_once_and_waits_until_all_runs(
    jobs: Cli, flink: Flink, jar: str
) -> None:
    there: list[Given] = [Given({"files": []})]
    answers = flink(
        {
            ("GET", "/jars"): there,
            ("POST", "/jars/upload"): Given({"filename": f"/tmp/flink-web/{JAR_ID}"}),
            RUN: Given({"jobid": NEW}),
            OVERVIEW: [BEFORE, *starting(RUNS)],
        }
    )
    ran = jobs("start", jar, "--source", "kafka://b:9092/orders", "--store=sqlite:f.db", "--bare")
    assert (ran.code, ran.out) == (0, f"{NEW}\n"), ran.err
    assert bodies(answers, RUN) == [{"programArgsList": [*ARGUMENTS, "--bare"]}]
    (upload,) = [body for _, path, body in answers.asked if path == "/jars/upload"]
    assert Path(jar).read_bytes() in upload
    name = upload.partition(b'filename="')[2].partition(b'"')[0].decode()
    assert name.startswith("job-")
    flink(
        {
            ("GET", "/jars"): Given({"files": [{"id": JAR_ID, "name": name}]}),
            RUN: Given({"jobid": NEW}),
            OVERVIEW: [BEFORE, *starting(RUNS)],
        }
    )
    assert jobs("start", jar, "--json").objects == [{"id": NEW}]


def test_start_from_the_latest_is_from_the_last_job_of_that_name(
    jobs: Cli, flink: Flink, jar: str
) -> None:
    given = {
        ("GET", "/jars"): Given({"files": []}),
        ("POST", "/jars/upload"): Given({"filename": f"/tmp/flink-web/{JAR_ID}"}),
        RUN: Given({"jobid": NEW}),
        OVERVIEW: [BEFORE, *starting([RUNS[-1]])],
    }
    failed = Given({"jobs": [job(state="FAILED")]})
    answers = flink({**given, OVERVIEW: [failed, *given[OVERVIEW]]})
    ran = jobs("start", jar, "--from_savepoint=latest")
    assert ran.code == 0, ran.err
    (asked,) = bodies(answers, RUN)
    assert asked["savepointPath"] == CHECKPOINT["external_path"]
    ran = jobs("start", jar, "--from_savepoint=latest", "--job_name=south")
    assert (ran.code, "the cluster knows no earlier job south" in ran.err) == (2, True)


@pytest.mark.parametrize("flags", [[], ["--from_savepoint=latest"]])
def test_start_of_a_job_that_runs_is_refused_with_the_way_out(
    jobs: Cli, flink: Flink, jar: str, flags: list[str]
) -> None:
    answers = flink({})
    ran = jobs("start", jar, *flags)
    assert (ran.code, ran.out) == (1, "")
    assert f"{ORDERS} runs already on the Flink cluster {answers.url} (RUNNING, job {JOB})" in (
        ran.err
    )
    assert f"`chronon-beam jobs restart {ORDERS} --flink_master={answers.url}`" in ran.err
    assert not bodies(answers, RUN)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["/no/such.jar"], "/no/such.jar: no such jar"),
        ([__file__], "is not the jar of a Beam job"),
        ([__file__, "kafka://b/t"], "'kafka://b/t': arguments of a job are written --name=value"),
    ],
)
def test_start_of_what_is_no_jar_is_wrong_use(
    jobs: Cli, flink: Flink, words: list[str], told: str
) -> None:
    flink({})
    ran = jobs("start", *words)
    assert (ran.code, ran.out, told in ran.err) == (2, "", True), ran.err


def test_arguments_that_the_jar_refuses_are_reported_in_its_words(
    jobs: Cli, flink: Flink, jar: str
) -> None:
    error = (
        "org.apache.flink.client.program.ProgramInvocationException: The main method caused an "
        "error: unknown argument --sorce: did you mean --source?\n\tat a.B(C.java:1)\n"
        "Caused by: chrononbeam.Refused: unknown argument --sorce: did you mean --source?\n"
    )
    flink(
        {
            ("GET", "/jars"): Given({"files": []}),
            ("POST", "/jars/upload"): Given({"filename": f"/tmp/flink-web/{JAR_ID}"}),
            RUN: Given({"errors": ["Internal server error.", error]}, 400),
            OVERVIEW: BEFORE,
        }
    )
    ran = jobs("start", jar, "--sorce=kafka://b/t")
    assert (ran.code, ran.out) == (1, "")
    assert "was not started: unknown argument --sorce: did you mean --source?\n" in ran.err


def test_job_that_fails_at_once_is_reported_with_the_reason(jobs: Cli, flink: Flink) -> None:
    trace = "a.B: x\nCaused by: java.io.FileNotFoundException: /svp/_metadata\n"
    failed = {"exceptionHistory": {"entries": [{"stacktrace": trace, "timestamp": 1}]}}
    flink(
        {
            CONFIG: LAUNCHED,
            ("GET", "/jars"): Given(JARS),
            RUN: Given({"jobid": NEW}),
            OVERVIEW: Given({"jobs": [job(state="FAILED"), job("x", NEW, "FAILED")]}),
            ("GET", f"/jobs/{NEW}/exceptions"): Given(failed),
        }
    )
    ran = jobs("restart", ORDERS)
    assert (ran.code, ran.out) == (1, "")
    assert f"x ({NEW}) has failed: FileNotFoundException: /svp/_metadata" in ran.err


def test_restart_of_a_job_that_has_ended_goes_on_from_its_newest_checkpoint(
    jobs: Cli, flink: Flink
) -> None:
    answers = flink(
        {
            CONFIG: LAUNCHED,
            ("GET", "/jars"): Given(JARS),
            RUN: Given({"jobid": NEW}),
            OVERVIEW: [Given({"jobs": [job(state="FAILED")]}), *starting([RUNS[-1]])],
        }
    )
    ran = jobs("restart", ORDERS, "--store=sqlite:g.db", "--parallelism", "4", "--json")
    assert ran.objects == [{"id": NEW, "savepoint": CHECKPOINT["external_path"]}]
    assert bodies(answers, RUN) == [
        {
            "programArgsList": [ARGUMENTS[0], "--store=sqlite:g.db", "--parallelism=4"],
            "savepointPath": CHECKPOINT["external_path"],
        }
    ]


def test_restart_of_what_is_not_on_the_cluster_says_how_to_do_it(jobs: Cli, flink: Flink) -> None:
    answers = flink({CONFIG: config({"jobName": ORDERS}), ("GET", "/jars"): Given(JARS)})
    ran = jobs("restart", ORDERS)
    assert (ran.code, ran.out) == (2, "")
    assert "was started by `chronon-beam run`" in ran.err
    assert "stop it with `chronon-beam jobs stop" in ran.err
    answers = flink({CONFIG: LAUNCHED, ("GET", "/jars"): Given({"files": []})})
    ran = jobs("restart", ORDERS)
    assert (ran.code, ran.out) == (2, "")
    assert f"jobs start JAR --from_savepoint=PATH {' '.join(ARGUMENTS)}`" in ran.err
    assert not [method for method, _, _ in answers.asked if method != "GET"]


def test_restart_without_a_checkpoint_says_so(jobs: Cli, flink: Flink) -> None:
    flink(
        {
            CONFIG: LAUNCHED,
            ("GET", "/jars"): Given(JARS),
            OVERVIEW: Given({"jobs": [job(state="CANCELED")]}),
            ("GET", f"/jobs/{JOB}/checkpoints"): Given({"counts": {}, "latest": {}}),
        }
    )
    ran = jobs("restart", ORDERS)
    assert (ran.code, "has left no savepoint and no checkpoint" in ran.err) == (1, True)


def test_job_without_slots_is_started_and_told_of(
    jobs: Cli, flink: Flink, jar: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chronon_beam.pipeline.jobs.starting._RUNS_WITHIN_S", 0.0)
    flink(
        {
            ("GET", "/jars"): Given({"files": []}),
            ("POST", "/jars/upload"): Given({"filename": f"/tmp/flink-web/{JAR_ID}"}),
            RUN: Given({"jobid": NEW}),
            OVERVIEW: [BEFORE, *starting([RUNS[1]])],
            ("GET", "/overview"): Given({"slots-total": 4, "slots-available": 0}),
        }
    )
    ran = jobs("start", jar)
    assert (ran.code, ran.out) == (0, f"{NEW}\n")
    assert "waits for task slots: the cluster has 4, and none is free" in ran.err


def test_words_between_flags_are_their_values() -> None:
    assert as_arguments(["--a", "1", "--b", "--c=d"]) == ["--a=1", "--b", "--c=d"]
    with pytest.raises(UsageError, match="'2': arguments of a job"):
        as_arguments(["--a=1", "2"])


def test_restart_does_not_take_what_flink_knew_before_the_end(jobs: Cli, flink: Flink) -> None:
    savepoint = {**CHECKPOINT, "id": 13, "is_savepoint": True, "external_path": "s3://b/savepoint"}
    gone = {"completed": {**CHECKPOINT, "discarded": True}, "savepoint": savepoint}
    flink(
        {
            CONFIG: LAUNCHED,
            ("GET", "/jars"): Given(JARS),
            RUN: Given({"jobid": NEW}),
            OVERVIEW: [Given({"jobs": [job(state="FINISHED")]}), *starting([RUNS[-1]])],
            ("GET", f"/jobs/{JOB}/checkpoints"): [
                Given({"counts": {}, "latest": {"completed": CHECKPOINT}}),
                Given({"counts": {}, "latest": gone}),
            ],
        }
    )
    assert jobs("restart", ORDERS, "--json").objects == [
        {"id": NEW, "savepoint": "s3://b/savepoint"}
    ]


def test_savepoint_of_other_steps_is_reported_by_what_it_means(jobs: Cli, flink: Flink) -> None:
    cause = (
        "java.lang.IllegalStateException: Failed to rollback. Cannot map checkpoint/savepoint state"
    )
    flink(
        {
            CONFIG: LAUNCHED,
            ("GET", "/jars"): Given(JARS),
            RUN: Given({"errors": [f"{cause} for operator bc76 to the new program."]}, 400),
            OVERVIEW: Given({"jobs": [job(state="FAILED")]}),
        }
    )
    ran = jobs("restart", ORDERS, "--parallelism=1")
    assert (ran.code, ran.out) == (1, "")
    assert "the savepoint is of a job with other steps" in ran.err


def test_restart_of_a_job_that_has_never_run_names_the_way_out(jobs: Cli, flink: Flink) -> None:
    flink({CONFIG: config({}), OVERVIEW: Given({"jobs": [job(state="FAILED")]})})
    ran = jobs("restart", ORDERS)
    assert (ran.code, ran.out) == (2, "")
    assert "has never run" in ran.err
    assert "name the job before it by its id" in ran.err
