"""Starts the JVM in which Spark runs. It prints nothing, and it ends when this process ends.

Spark's own launcher needs a Java module (jdk.incubator.vector) that slim Java runtimes lack, prints
to the terminal, and needs a shell. So the JVM is started here, with py4j's server as its main
class, and pyspark connects to this server.
"""

import atexit
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import IO, NamedTuple

from py4j.clientserver import SHUTDOWN_FINALIZER_WORKER, JavaClient
from py4j.java_gateway import JavaGateway
from pyspark import java_gateway

from chronon_beam.transforms.spark.java_runtime import java_home
from chronon_beam.transforms.spark.quick_start import find_archive, make_later, start, start_flags

HEAP = "512m"
"""Enough for batches of thousands of heavy events; Spark refuses to start below 450 MB."""

JARS = Path(java_gateway.__file__).with_name("jars")
CLASS_PATH = ("-cp", str(JARS / "*"))
MEMORY = (f"-Xmx{HEAP}", "-XX:+UseSerialGC")

_START_TIMEOUT_S = 240
_END_TIMEOUT_S = 10
_POLL_S = 0.05
_LOG_TAIL = 2_000
_LONGEST_TEMP_DIR = 60
"""A unix socket's path may have about 100 characters, and the socket's name needs some."""

_OPENED = (
    "java.lang",
    "java.lang.invoke",
    "java.lang.reflect",
    "java.io",
    "java.net",
    "java.nio",
    "java.util",
    "java.util.concurrent",
    "java.util.concurrent.atomic",
    "jdk.internal.ref",
    "sun.nio.ch",
    "sun.nio.cs",
    "sun.security.action",
    "sun.util.calendar",
)
"""Packages of java.base that Spark uses by reflection."""


class JvmFailed(RuntimeError):
    """Spark's JVM did not start, or has ended; the message ends with what the JVM printed last."""


class JvmEnded(JvmFailed):
    """Spark's JVM has ended before it was ready."""


class Jvm(NamedTuple):
    """A running JVM with py4j's server in it.

    Attributes:
        process: ends when its standard input is closed, which this process holds open; so it ends
            with this process, however that ends.
        gateway: pyspark's connection to it.
        log: what the JVM printed, in an unlinked file; it is read after a failure only.
        unused: (client, id) of each Java object to which Python no longer refers, the newest first.
    """

    process: "subprocess.Popen[bytes]"
    gateway: JavaGateway
    log: IO[bytes]
    unused: deque[tuple[JavaClient, str]]

    def last_words(self) -> str:
        """The end of what the JVM printed."""
        return _tail(self.log)

    def end(self) -> None:
        """End the JVM by closing its standard input, and wait until it has ended."""
        _end(self.process, os.getpid())

    def release_unused(self) -> None:
        """Have the JVM free the `unused` objects; call this only while the JVM runs."""
        while self.unused:
            client, java_id = self.unused.pop()
            client.garbage_collect_object(java_id, enqueue=False)


def launch(confs: Mapping[str, str], directory: Path) -> Jvm:
    """Start a JVM whose Spark has the confs, and puts its files into the directory.

    Args:
        confs: names with their `spark.` prefix.
        directory: private to this JVM, see `private_directory`.

    Raises:
        JavaNotFound: if there is no Java to start.
        JvmFailed: if the JVM ends, or is not ready after some minutes.
    """
    archive = find_archive(JARS)
    if archive is None:
        if start.makes_archive:
            atexit.register(make_later, JARS)
        return _launch(confs, directory, None)
    try:
        return _launch(confs, directory, archive)
    except JvmEnded:
        archive.unlink(missing_ok=True)
        return _launch(confs, directory, None)


def _launch(confs: Mapping[str, str], directory: Path, archive: Path | None) -> Jvm:
    log = tempfile.TemporaryFile()  # noqa: SIM115, it lives as long as the JVM
    info = directory / "gateway"
    process = subprocess.Popen(
        _command(confs, directory, archive),
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        env=os.environ
        | {"_PYSPARK_DRIVER_CONN_INFO_PATH": str(info), "SPARK_LOCAL_IP": "127.0.0.1"},
        # Ctrl-C in a terminal is for Python; the JVM follows when Python ends.
        process_group=0 if sys.platform != "win32" else None,
    )
    atexit.register(_end, process, os.getpid())
    _await(info, process, log)
    gateway = _connect(info)
    return Jvm(process, gateway, log, _collect_unused(gateway))


def private_directory() -> Path:
    """A new directory of mode 0700 whose name is short enough for a socket in it.

    The JVM removes it when it ends, and so does this process.
    """
    short = len(tempfile.gettempdir()) <= _LONGEST_TEMP_DIR
    directory = Path(tempfile.mkdtemp(prefix="chronon-beam-", dir=None if short else "/tmp"))
    atexit.register(_remove, directory, os.getpid())
    return directory


def _remove(directory: Path, owner: int) -> None:
    if os.getpid() == owner:
        shutil.rmtree(directory, ignore_errors=True)


def _end(process: "subprocess.Popen[bytes]", owner: int) -> None:
    if os.getpid() != owner or process.stdin is None:
        return
    process.stdin.close()
    try:
        process.wait(_END_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _command(confs: Mapping[str, str], directory: Path, archive: Path | None) -> list[str]:
    return [
        str(Path(java_home(), "bin", "java")),
        *CLASS_PATH,
        *MEMORY,
        *start_flags(archive),
        "-XX:-UsePerfData",
        "-XX:+IgnoreUnrecognizedVMOptions",
        "--enable-native-access=ALL-UNNAMED",
        "--sun-misc-unsafe-memory-access=allow",
        *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
        "-Dio.netty.tryReflectionSetAccessible=true",
        # Spark asks for null before it reads a value; Arrow need not ask again.
        "-Darrow.enable_null_check_for_get=false",
        f"-Djava.io.tmpdir={directory}",
        f"-Dderby.system.home={directory}",
        *(f"-D{name}={value}" for name, value in confs.items()),
        f"-Dspark.local.dir={directory}",
        f"-Dspark.sql.warehouse.dir={directory / 'warehouse'}",
        "org.apache.spark.api.python.PythonGatewayServer",
    ]


def _await(info: Path, process: "subprocess.Popen[bytes]", log: IO[bytes]) -> None:
    """Wait for the file that the gateway writes once it listens."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not info.exists():
        if process.poll() is not None:
            raise JvmEnded(
                f"Spark's JVM ended with exit code {process.returncode} before it was ready "
                f"(Java at {java_home()}). It said: {_tail(log)}"
            )
        if time.monotonic() > deadline:
            process.kill()
            raise JvmFailed(
                f"Spark's JVM was not ready after {_START_TIMEOUT_S} s (Java at {java_home()}); "
                f"the machine may be overloaded. It said: {_tail(log)}"
            )
        time.sleep(_POLL_S)


def _connect(info: Path) -> JavaGateway:
    """Have pyspark connect to a running gateway, as if spark-submit had started Python."""
    data = info.read_bytes()
    port, length = struct.unpack_from(">ii", data)
    there = {
        "PYSPARK_GATEWAY_PORT": str(port),
        "PYSPARK_GATEWAY_SECRET": data[8 : 8 + length].decode(),
    }
    os.environ.update(there)
    try:
        return java_gateway.launch_gateway()
    finally:
        for name in there:
            del os.environ[name]


def _collect_unused(gateway: JavaGateway) -> deque[tuple[JavaClient, str]]:
    """Collect the Java objects to free, instead of freeing them at any moment.

    A thread of py4j tells the JVM at once of each object to which Python no longer refers. If the
    JVM ends meanwhile (it was killed, or the program has done its work and exits), py4j prints a
    traceback. So that thread is ended, and `Jvm.release_unused` does its work.
    """
    client = gateway._gateway_client
    client.finalizer_deque.appendleft(SHUTDOWN_FINALIZER_WORKER)
    client.finalizer_deque = unused = deque()
    return unused


def _tail(log: IO[bytes]) -> str:
    size = log.seek(0, os.SEEK_END)
    log.seek(max(0, size - _LOG_TAIL))
    return log.read().decode(errors="replace").strip() or "nothing"
