"""Jobs on real Flink: embedded in the job server, and on a cluster with workers as processes."""

import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from live import Stay
from processes import eventually_none, processes_with
from waiting import eventually

from chronon_beam.pipeline.runners.flink import flink
from chronon_beam.pipeline.runners.job_server import JobServerFailed
from chronon_beam.pipeline.runners.root_cause import root_cause

WORDS = ["to be or", "not to be"]
COUNTS = [("be", 2), ("not", 1), ("or", 1), ("to", 2)]

LAUNCHER = """
import time
from chronon_beam.pipeline.runners.flink import flink
with flink([]):
    print("up", flush=True)
    time.sleep(600)
"""


def count_words(argv: list[str], directory: Path) -> list[tuple[str, int]]:
    with beam.Pipeline(options=PipelineOptions(argv)) as root:
        _ = (
            root
            | beam.Create(WORDS)
            | beam.FlatMap(str.split)
            | beam.combiners.Count.PerElement()
            | beam.Map(lambda pair: f"{pair[0]} {pair[1]}")
            | beam.io.WriteToText(str(directory / "counts"))
        )
    lines = [line for path in directory.glob("counts*") for line in path.read_text().splitlines()]
    return sorted((word, int(number)) for word, number in map(str.split, lines))


@pytest.fixture
def marked(monkeypatch, tmp_path):
    """A text that every process started from here, and its children, carries in its environment."""
    monkeypatch.setenv("CHRONON_BEAM_TEST", str(tmp_path))
    return f"CHRONON_BEAM_TEST={tmp_path}"


def test_local_flink_counts_words_and_leaves_no_process(tmp_path, marked):
    with flink([]) as argv:
        assert processes_with(marked)
        assert count_words(argv, tmp_path) == COUNTS
    assert not processes_with(marked)


def test_failure_on_local_flink_tells_the_users_error_only():
    with (
        flink([]) as argv,
        pytest.raises(RuntimeError) as failed,
        beam.Pipeline(options=PipelineOptions(argv)) as root,
    ):
        _ = root | beam.Create(["x"]) | beam.Map(int)
    assert root_cause(str(failed.value)).startswith("ValueError: invalid literal for int()")


def test_job_server_that_cannot_start_tells_why(tmp_path):
    (tmp_path / "no.jar").write_bytes(b"no jar")
    with (
        pytest.raises(JobServerFailed, match="no.jar"),
        flink([f"--flink_job_server_jar={tmp_path / 'no.jar'}"]),
    ):
        pass


def test_job_server_dies_with_a_launcher_that_is_killed(marked):
    with subprocess.Popen([sys.executable, "-c", LAUNCHER], stdout=subprocess.PIPE) as launcher:
        assert launcher.stdout
        assert launcher.stdout.readline() == b"up\n"
        launcher.kill()
    assert eventually_none(marked)


def start_staying_job(flink_cluster, announced):
    """Runs a job whose worker never ends, until that worker has started."""

    def run() -> None:
        with (
            suppress(RuntimeError),
            flink([f"--flink_master={flink_cluster.master}"]) as argv,
            beam.Pipeline(options=PipelineOptions(argv)) as root,
        ):
            _ = root | beam.Create([str(announced)]) | beam.ParDo(Stay())

    known = set(flink_cluster.jobs())
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert eventually(announced.exists), flink_cluster.worker_log()[-2000:]
    assert flink_cluster.workers()
    (job_id,) = set(flink_cluster.jobs()) - known
    return job_id, thread


@pytest.mark.usefixtures("modules_on_workers")
def test_no_worker_outlives_its_task_manager_or_its_job(tmp_path, flink_cluster):
    announced = tmp_path / "announced"
    job_id, thread = start_staying_job(flink_cluster, announced)
    announced.unlink()
    flink_cluster.kill_task_manager()
    assert_no_worker(flink_cluster)
    flink_cluster.start_task_manager()
    assert eventually(announced.exists), flink_cluster.worker_log()[-2000:]
    flink_cluster.cancel(job_id)
    assert_no_worker(flink_cluster)
    thread.join(60)
    assert flink_cluster.jobs()[job_id] == "CANCELED"


def assert_no_worker(flink_cluster):
    """Nor what a worker has started."""
    assert eventually(lambda: not flink_cluster.workers())
    assert eventually_none("sleep\0613")


def test_ctrl_c_ends_launcher_and_job_server(marked):
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCHER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as launcher:
        assert launcher.stdout
        assert launcher.stdout.readline() == b"up\n"
        launcher.send_signal(signal.SIGINT)
        assert launcher.wait(120) != 0
    assert not processes_with(marked)
