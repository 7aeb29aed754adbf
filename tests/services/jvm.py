"""Asks a running JVM what it holds, by the protocol of `jcmd`: no tool of a JDK is needed."""

import os
import re
import signal
import socket
import time
from pathlib import Path

from processes import processes_with

_START_S = 60.0
_TOTAL = re.compile(r"^Total\s+\d+\s+(\d+)", re.MULTILINE)


def jvm_with(text: str) -> int:
    """The id of the only JVM whose command line or environment holds `text`."""
    (found,) = (each for each in processes_with(text) if _executable(each) == "java")
    return found


def live_bytes(pid: int) -> int:
    """How many bytes of a JVM's heap can be reached, garbage collected before."""
    found = _TOTAL.search(_command(pid, "GC.class_histogram"))
    assert found
    return int(found[1])


def _executable(pid: int) -> str:
    return Path(os.readlink(f"/proc/{pid}/exe")).name


def _command(pid: int, text: str) -> str:
    """What a diagnostic command answers."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(_listening(pid)))
        connection.sendall(b"1\0jcmd\0" + text.encode() + b"\0\0\0")
        with connection.makefile("rb") as answer:
            code, _, told = answer.read().decode().partition("\n")
    assert code == "0", told
    return told


def _listening(pid: int) -> Path:
    """The socket that a JVM opens when it is asked to by a file and a signal."""
    path = Path(f"/tmp/.java_pid{pid}")
    if path.exists():
        return path
    asking = Path(f"/proc/{pid}/cwd/.attach_pid{pid}")
    asking.touch()
    try:
        os.kill(pid, signal.SIGQUIT)
        deadline = time.monotonic() + _START_S
        while not path.exists():
            assert time.monotonic() < deadline, f"JVM {pid} does not answer"
            time.sleep(0.1)
    finally:
        asking.unlink()
    return path
