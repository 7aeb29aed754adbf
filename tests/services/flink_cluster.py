"""A Flink cluster of one JobManager and TaskManagers, as processes of the test session.

They run from the job server's jar, which holds all of Flink: neither a Flink distribution nor
Docker is needed. The cluster is highly available by a ZooKeeper: jobs outlive their JobManager.
"""

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from apache_beam.utils.subprocess_server import pick_port
from processes import processes_with
from zookeeper import ZooKeeper

from chronon_beam.pipeline.runners import guard
from chronon_beam.pipeline.runners.job_server import module_options
from chronon_beam.transforms.spark.java_runtime import java_environment

SLOTS = 4
START_TIMEOUT_S = 240.0

_MIB = 1 << 20
_RUNTIME = "org.apache.flink.runtime"
_JVM = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)
# Without Flink's shell scripts nobody derives these from one another, so all must be given.
_MEMORY = {
    "taskmanager.cpu.cores": "2.0",
    "taskmanager.memory.framework.heap.size": 128 * _MIB,
    "taskmanager.memory.framework.off-heap.size": 128 * _MIB,
    "taskmanager.memory.task.heap.size": 512 * _MIB,
    "taskmanager.memory.task.off-heap.size": 128 * _MIB,
    "taskmanager.memory.network.min": 64 * _MIB,
    "taskmanager.memory.network.max": 64 * _MIB,
    "taskmanager.memory.managed.size": 128 * _MIB,
    "taskmanager.memory.jvm-metaspace.size": 256 * _MIB,
    "taskmanager.memory.jvm-overhead.min": 192 * _MIB,
    "taskmanager.memory.jvm-overhead.max": 192 * _MIB,
}
_SETTINGS = {
    "jobmanager.rpc.address": "localhost",
    "jobmanager.memory.process.size": "1024m",
    "rest.address": "localhost",
    "taskmanager.host": "localhost",
    "taskmanager.numberOfTaskSlots": SLOTS,
    "cluster.evenly-spread-out-slots": "true",
    "high-availability.type": "zookeeper",
    # A JobManager that was killed leads until its session has timed out.
    "high-availability.zookeeper.client.session-timeout": 20000,
    "high-availability.zookeeper.client.tolerate-suspended-ephemeral-nodes": "true",
    "execution.buffer-timeout.interval": "20 ms",
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": 50,
    "restart-strategy.fixed-delay.delay": "1 s",
    # A TaskManager is lost as soon as two of these have failed, or after the timeout.
    "heartbeat.interval": 1000,
    "heartbeat.timeout": 10000,
}


class FlinkCluster:
    """Started with one TaskManager by the constructor; `stop` ends all of it.

    Attributes:
        master: `localhost:port`, for `--flink_master`.
        rest_url: where the REST API answers.
        checkpoints: the directory of checkpoints and savepoints.
        configuration: the directory of its configuration file.

    Args:
        jar: the job server's.
        directory: where the processes keep logs, configuration and state.
        environment: what workers find in theirs, as those of a user's cluster.
    """

    def __init__(self, jar: str, directory: Path, environment: Mapping[str, str]) -> None:
        self._jar = jar
        self._directory = self.configuration = directory
        self._environment = environment
        self.checkpoints = directory / "checkpoints"
        rest_port, rpc_port, blob_port = pick_port(None, None, None)
        self.master = f"localhost:{rest_port}"
        self.rest_url = f"http://{self.master}"
        self._zookeeper = ZooKeeper(jar, directory)
        self._write_configuration(rest_port, rpc_port, blob_port)
        self._task_managers: list[subprocess.Popen[bytes]] = []
        self._job_manager = self._started_job_manager()
        try:
            self.start_task_manager()
        except BaseException:
            self.stop()
            raise

    def replace_job_manager(self) -> None:
        """Kill -9 the JobManager, start another, and wait until all TaskManagers are with it."""
        os.kill(guard.wait_for_child(self._job_manager), signal.SIGKILL)
        self._job_manager.wait()
        self._job_manager = self._started_job_manager()
        self._wait(lambda: len(self._known()) >= len(self._task_managers))

    def start_task_manager(self) -> None:
        """Start one more TaskManager and wait until the JobManager knows it."""
        jvm = ["-Xmx768m", "-XX:MaxDirectMemorySize=400m", "-XX:MaxMetaspaceSize=256m"]
        entry = f"{_RUNTIME}.taskexecutor.TaskManagerRunner"
        before = self._known()
        self._task_managers.append(self._start("task_manager", jvm, entry, _MEMORY))
        # The one killed last is counted until its heartbeat times out.
        self._wait(lambda: self._known() - before)

    def kill_task_manager(self) -> None:
        """Kill -9 the TaskManager that was started first, as a machine that fails would."""
        task_manager = self._task_managers.pop(0)
        os.kill(guard.wait_for_child(task_manager), signal.SIGKILL)
        task_manager.wait()

    def stop_task_manager(self) -> None:
        """End the TaskManager that was started last, and wait until the JobManager knows."""
        known = self._known()
        guard.stop(self._task_managers.pop())
        self._wait(lambda: known - self._known())

    def workers(self) -> list[int]:
        """The process ids of the Python workers."""
        return self._processes_of(b"sdk_worker_main")

    def spark_jvms(self) -> list[int]:
        """The process ids of the JVMs in which workers evaluate."""
        return self._processes_of(b"org.apache.spark.api.python.PythonGatewayServer")

    def _processes_of(self, program: bytes) -> list[int]:
        return [each for each in processes_with(str(self._directory)) if _runs(each, program)]

    def jobs(self) -> dict[str, str]:
        """The status of every job by its id."""
        return {job["id"]: job["status"] for job in self._ask("/jobs")["jobs"]}

    def cancel(self, job_id: str) -> None:
        """Cancel a job and wait until it is no longer running."""
        self._call(f"/jobs/{job_id}?mode=cancel", method="PATCH")
        self._wait(lambda: self.jobs()[job_id] in ("CANCELED", "FAILED", "FINISHED"))

    def worker_log(self) -> str:
        """What the TaskManager and its workers have logged."""
        return (self._directory / "task_manager.log").read_text(encoding="utf-8")

    def checkpoints_of(self, job_id: str) -> dict[str, int]:
        """How many checkpoints of a job were `completed`, `restored` and so on."""
        return self._ask(f"/jobs/{job_id}/checkpoints")["counts"]

    def stop_with_savepoint(self, job_id: str) -> str:
        """Stop a job where it is; what to resume it from."""
        told: dict[str, Any] = {}

        def stopped() -> bool:
            """False if a task fails meanwhile, or the job is being restarted."""
            with suppress(urllib.error.HTTPError):
                asked = self._call(f"/jobs/{job_id}/stop", method="POST", body={"drain": False})
                path = f"/jobs/{job_id}/savepoints/{asked['request-id']}"
                self._wait(lambda: self._call(path)["status"]["id"] == "COMPLETED")
                told.update(self._call(path)["operation"])
            return "location" in told

        self._wait(stopped)
        return told["location"]

    def outputs_of(self, job_id: str, step: str) -> dict[tuple[str, int], int]:
        """How many records the subtasks of a step have given, by TaskManager and number."""
        found = {}
        for vertex in self._ask(f"/jobs/{job_id}")["vertices"]:
            if step in vertex["name"]:
                subtasks = self._ask(f"/jobs/{job_id}/vertices/{vertex['id']}")["subtasks"]
                for each in subtasks:
                    place = each["taskmanager-id"], each["subtask"]
                    found[place] = each["metrics"]["write-records"]
        return found

    def stop(self) -> None:
        """End all processes and all that they started."""
        for process in (*self._task_managers, self._job_manager):
            guard.stop(process)
        self._zookeeper.stop()

    def _started_job_manager(self) -> subprocess.Popen[bytes]:
        entry = f"{_RUNTIME}.entrypoint.StandaloneSessionClusterEntrypoint"
        return self._start("job_manager", ["-Xmx512m"], entry, {})

    def _start(
        self, name: str, jvm: list[str], entry: str, options: dict[str, Any]
    ) -> subprocess.Popen[bytes]:
        temporary = self._directory / "tmp"
        temporary.mkdir(exist_ok=True)
        command = ["java", *jvm, *_JVM, f"-Djava.io.tmpdir={temporary}"]
        command += [*module_options(), "-cp", self._jar, entry, "--configDir", str(self._directory)]
        for key, value in options.items():
            command += ["-D", f"{key}={value}" + ("b" if "memory" in key else "")]
        # By this text its workers are found.
        marked = {**self._environment, "CHRONON_BEAM_TEST_CLUSTER": str(self._directory)}
        return guard.start(
            command, self._directory / f"{name}.log", {**java_environment(), **marked}
        )

    def _write_configuration(self, rest_port: int, rpc_port: int, blob_port: int) -> None:
        lines = {
            **_SETTINGS,
            "jobmanager.rpc.port": rpc_port,
            "blob.server.port": blob_port,
            "rest.port": rest_port,
            "io.tmp.dirs": self._directory / "tmp",
            "state.checkpoints.dir": self.checkpoints.as_uri(),
            "state.savepoints.dir": (self._directory / "savepoints").as_uri(),
            "high-availability.zookeeper.quorum": self._zookeeper.quorum,
            "high-availability.storageDir": (self._directory / "ha").as_uri(),
        }
        text = "".join(f"{key}: {value}\n" for key, value in lines.items())
        (self._directory / "flink-conf.yaml").write_text(text, encoding="utf-8")

    def _known(self) -> set[str]:
        try:
            return {one["id"] for one in self._call("/taskmanagers")["taskmanagers"]}
        except OSError:
            return set()

    def _ask(self, path: str) -> Any:
        """What the API has there; asked again while a JobManager or a job of it only starts."""
        told = []

        def answered() -> bool:
            with suppress(OSError):
                told.append(self._call(path))
            return bool(told)

        self._wait(answered)
        return told[0]

    def _call(self, path: str, method: str = "GET", body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.rest_url + path, data, method=method)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def _wait(self, reached: Any) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not reached():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the Flink cluster is not ready: see {self._directory}/*.log")
            time.sleep(0.2)


def _runs(pid: int, program: bytes) -> bool:
    with suppress(OSError):
        return program in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False
