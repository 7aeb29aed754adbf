"""The options that a Flink job gets, what is dangerous in them, and what a failure says."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.pipeline.runners.choose import with_job_name
from chronon_beam.pipeline.runners.flink import (
    configuration,
    dangers,
    flink_arguments,
    parse_flags,
)
from chronon_beam.pipeline.runners.latency import LEVELS
from chronon_beam.pipeline.runners.root_cause import root_cause

CLUSTER = "--flink_master=localhost:8081"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CHRONON_BEAM_CACHE", str(tmp_path))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return tmp_path


def flags_of(*argv, live=False):
    return parse_flags(flink_arguments(argv, live=live))


def test_local_flink_runs_workers_in_the_launcher():
    flags = flags_of()
    assert flags["runner"] == "FlinkRunner"
    assert flags["flink_master"] == "[local]"
    assert flags["flink_version"] == "1.19"
    assert flags["environment_type"] == "LOOPBACK"


@pytest.mark.parametrize(("checkpointed", "type_"), [(True, "exponential-delay"), (False, "none")])
def test_live_job_is_restarted_from_checkpoints_only_and_not_for_ever(
    checkpointed, type_, tmp_path
):
    configuration(LEVELS["low"], checkpointed, tmp_path)
    found = yaml.safe_load((tmp_path / "flink-conf.yaml").read_text())
    assert found["execution.buffer-timeout.interval"] == "5 ms"
    assert found["restart-strategy.type"] == type_
    limit = "restart-strategy.exponential-delay.attempts-before-reset-backoff"
    assert found.get(limit) == (12 if checkpointed else None)


def test_cluster_runs_workers_as_processes_by_an_executable_command(cache):
    flags = flags_of(CLUSTER)
    assert flags["environment_type"] == "PROCESS"
    command = Path(json.loads(flags["environment_config"])["command"])
    assert command.parent == cache
    assert command.stat().st_mode & 0o111


def test_process_workers_get_their_command_also_when_they_are_asked_for():
    flags = flags_of(CLUSTER, "--environment_type=PROCESS")
    assert json.loads(flags["environment_config"])["command"]
    given = flags_of(CLUSTER, "--environment_type=PROCESS", '--environment_config={"command":"x"}')
    assert given["environment_config"] == '{"command":"x"}'


def test_python_environments_have_workers_of_their_own(cache, monkeypatch):
    first = flags_of(CLUSTER)["environment_config"]
    monkeypatch.setattr("sys.executable", "/another/venv/bin/python")
    assert flags_of(CLUSTER)["environment_config"] != first
    assert len(list(cache.glob("worker-*"))) == 2


def test_template_never_depends_on_the_launcher():
    assert flags_of("--output_executable_path=job.jar")["environment_type"] == "PROCESS"


def test_worker_address_means_external_workers():
    assert flags_of(CLUSTER, "--environment_config=w:50000")["environment_type"] == "EXTERNAL"


@pytest.mark.parametrize("master", ["[local]", "localhost:8081"])
@pytest.mark.parametrize("live", [True, False])
def test_checkpoints_always_finish_bundles_first(master, live):
    given_interval = flags_of(f"--flink_master={master}", "--checkpointing_interval=9", live=live)
    assert "finish_bundle_before_checkpointing" in given_interval
    assert given_interval["checkpointing_interval"] == "9"
    alone = flags_of(f"--flink_master={master}", live=live)
    assert ("checkpointing_interval" in alone) == (live and master != "[local]")


@pytest.mark.parametrize("master", ["[local]", "localhost:8081"])
def test_job_with_checkpoints_ends_when_its_source_does(master):
    idle = "shutdown_sources_after_idle_ms"
    words = f"--flink_master={master}", "--checkpointing_interval=9"
    assert flags_of(*words)[idle] == "1000"
    assert flags_of(*words, f"--{idle}=50")[idle] == "50"
    assert idle not in flags_of(*words, live=True)
    assert idle not in flags_of(words[0])


@pytest.mark.parametrize("argv", [[], [CLUSTER], ["--checkpointing_interval=9"]])
@pytest.mark.parametrize("live", [True, False])
def test_defaults_have_no_dangers(argv, live):
    assert dangers(flink_arguments(argv, live=live), live) == []


@given(st.lists(st.sampled_from(["--runner=X", "--parallelism=7", "--flink_version=2.0", "-v"])))
def test_what_the_user_gives_is_kept(argv):
    completed = flink_arguments(argv)
    assert completed[: len(argv)] == argv
    assert len(parse_flags(completed)) == len(completed) - (len(argv) - len(parse_flags(argv)))


@pytest.mark.parametrize(
    ("argv", "live", "cause"),
    [
        (["--shutdown_sources_after_idle_ms=1000"], True, "live source"),
        (["--finish_bundle_before_checkpointing=true"], False, "bare flags"),
        (["--object_reuse", "true"], False, "--object_reuse=true"),
        ([CLUSTER, "--max_parallelism=-1"], True, "--max_parallelism=-1: Flink derives it"),
        ([CLUSTER, "--environment_type=LOOPBACK"], False, "ends with this launcher"),
        (["--setup_file=./setup.py", "--environment_type=PROCESS"], False, "install nothing"),
    ],
)
def test_danger_is_named_with_a_remedy(argv, live, cause):
    (found,) = dangers(flink_arguments(argv, live=live), live)
    assert cause in found
    assert "; " in found


JAVA = """\
java.util.concurrent.ExecutionException: org.apache.flink.JobException: Job failed
\tat java.base/java.util.concurrent.CompletableFuture.get(CompletableFuture.java:2022)
Caused by: org.apache.flink.runtime.client.JobExecutionException: Job execution failed.
\t... 3 more
Caused by: java.net.BindException: Address already in use
\tat a.B.c(B.java:1)
"""

PYTHON = """\
java.lang.RuntimeException: Error received from SDK harness for instruction 1: Traceback \
(most recent call last):
  File "a.py", line 1, in f
    g()
ValueError: first

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "b.py", line 2, in g
ValueError: bad row 7 [while running 'Map(int)']

\tat org.apache.beam.Runner.run(Runner.java:1)
Traceback (most recent call last):
  File "data_plane.py", line 3
grpc._channel._MultiThreadedRendezvous: hang up
"""


def test_root_cause_of_java_is_the_innermost_exception():
    assert root_cause(JAVA) == "BindException: Address already in use"


def test_root_cause_of_a_python_step_is_its_own_error():
    assert root_cause(PYTHON) == "ValueError: bad row 7 [while running 'Map(int)']"


def test_root_cause_without_exceptions_is_the_last_error_line():
    text = "[main] INFO a - up\n[main] ERROR Could not reserve enough space\n[main] INFO b - x\n"
    assert root_cause(text) == "Could not reserve enough space"
    assert root_cause("[main] INFO a - up\n") == ""


def test_root_cause_of_a_jvm_that_does_not_start_is_what_it_says():
    assert root_cause("Error: Invalid or corrupt jarfile a.jar\n").startswith("Invalid or corrupt")
    no_heap = "Error occurred during initialization of VM\nCould not reserve enough space\n"
    assert root_cause(no_heap) == "Could not reserve enough space"


def test_live_jobs_wait_as_long_as_their_latency_says():
    flags = parse_flags(flink_arguments([], True, LEVELS["low"]))
    assert flags["max_bundle_time_mills"] == "10"
    given = flink_arguments(["--max_bundle_time_mills=7"], True, LEVELS["low"])
    assert parse_flags(given)["max_bundle_time_mills"] == "7"
    assert "max_bundle_time_mills" not in flags_of()


def test_jobs_on_a_cluster_can_be_rescaled():
    assert flags_of(CLUSTER)["parallelism"] == "2"
    assert flags_of()["parallelism"] == "1"
    (warning,) = dangers(flink_arguments([CLUSTER, "--parallelism=1"], live=True), live=True)
    assert warning.startswith("--parallelism=1: Flink does not restore")


def test_job_is_listed_by_its_group_by_unless_it_is_named():
    assert with_job_name("FlinkRunner", ["--streaming"], "a.b") == ["--streaming", "--job_name=a.b"]
    assert with_job_name("FlinkRunner", ["--job_name=c"], "a.b") == ["--job_name=c"]
    assert with_job_name("DataflowRunner", [], "a.b") == []
