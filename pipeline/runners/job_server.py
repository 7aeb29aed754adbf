"""Beam's Flink job server, as a process that ends with the launcher.

    with JobServer(jar, "[local]") as server:
        run([*argv, f"--job_endpoint={server.endpoint}"])

With `[local]` the job server is all of Flink; with an address it only submits jobs.
"""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from apache_beam.utils.subprocess_server import pick_port

from chronon_beam.pipeline.runners import guard
from chronon_beam.pipeline.runners.root_cause import root_cause
from chronon_beam.transforms.spark.java_runtime import java_environment

JVM_OPTIONS = (
    "-Xmx1g",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-XX:TieredStopAtLevel=1",
    "-XX:MetaspaceSize=256m",
)
"""For the job of one launcher: a small heap, a collector without threads of its own, and the quick
compiler alone, since the optimising one costs more CPU than it saves over thousands of bundles. The
metaspace starts large: otherwise the JVM collects the whole heap each time the classes have grown,
and events wait for that, up to 0.3 s in the middle of a job."""

_START_TIMEOUT_S = 120.0
_POLL_S = 0.1
_OPENED = (
    "java.lang",
    "java.lang.reflect",
    "java.net",
    "java.io",
    "java.nio",
    "java.text",
    "java.time",
    "java.util",
    "java.util.concurrent",
    "java.util.concurrent.atomic",
    "java.util.concurrent.locks",
    "sun.nio.ch",
)
_EXPORTED = (
    "java.base/sun.net.util",
    "java.rmi/sun.rmi.registry",
    "java.security.jgss/sun.security.krb5",
)


def module_options() -> list[str]:
    """What Flink's own scripts open for reflection on Java 17 and newer."""
    return [
        *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
        *(f"--add-exports={package}=ALL-UNNAMED" for package in _EXPORTED),
    ]


class JobServerFailed(RuntimeError):
    """The job server did not come up; the message holds the cause."""


class JobServer:
    """A running job server; leave the context, or call `stop`, to end it.

    Attributes:
        endpoint: `localhost:port`, for `--job_endpoint`.
        log: the file with what it prints; removed when it is stopped.
    """

    def __init__(
        self, jar: str, flink_master: str = "[local]", jvm_options: Sequence[str] = JVM_OPTIONS
    ) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="chronon_beam-flink-"))
        self.log = self._directory / "job_server.log"
        port, artifact_port, expansion_port = pick_port(None, None, None)
        self.endpoint = f"localhost:{port}"
        temporary = self._directory / "tmp"
        temporary.mkdir()
        jvm = [*jvm_options, *module_options(), f"-Djava.io.tmpdir={temporary}"]
        ports = [f"--job-port={port}", f"--artifact-port={artifact_port}"]
        ports += [f"--expansion-port={expansion_port}", f"--artifacts-dir={temporary}"]
        self._guard: subprocess.Popen[bytes] | None = guard.start(
            ["java", *jvm, "-jar", jar, f"--flink-master={flink_master}", *ports],
            self.log,
            java_environment(),
        )

    def __enter__(self) -> "JobServer":
        try:
            self._wait_until_up()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the job server and all it started; a second call does nothing."""
        running, self._guard = self._guard, None
        if running is not None:
            guard.stop(running)
            shutil.rmtree(self._directory, ignore_errors=True)

    def failure(self) -> str:
        """The root cause in what the job server has printed; empty if there is none."""
        return root_cause(self.log.read_text(encoding="utf-8", errors="replace"))

    def _wait_until_up(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        address = ("localhost", int(self.endpoint.rpartition(":")[2]))
        while time.monotonic() < deadline:
            if self._guard is None or self._guard.poll() is not None:
                raise JobServerFailed(f"the Flink job server ended: {self.failure()}")
            try:
                socket.create_connection(address, timeout=_POLL_S).close()
                return
            except OSError:
                time.sleep(_POLL_S)
        raise JobServerFailed(
            f"the Flink job server does not answer at {self.endpoint} after {_START_TIMEOUT_S:.0f} "
            f"s: {self.failure() or 'it printed no error; is the machine very busy?'}"
        )
