"""Runs a command that must not outlive the process that has started it.

`python -m chronon_beam.pipeline.runners.guard PARENT_PID GRACE_S COMMAND...` starts the command in
a process group of its own. It ends the command, with everything that the command has started, as
soon as process PARENT_PID is no longer the guard's parent (even by kill -9), or the guard itself
gets a signal to end. It exits with the command's exit code.

    launcher ── guard ── job server            TaskManager ── guard ── SDK worker ── Spark's JVM

Only the standard library is imported: a guard is one small idle process.
"""

import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_POLL_S = 0.5
_KILL_ROUNDS = 50
_ON_LINUX = sys.platform == "linux"
_STARTED = 19
"""Where a process's /proc/PID/stat has the time of its start, counted from its state."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def command_line(command: Sequence[str], parent: str, grace_s: float) -> list[str]:
    """The command line that runs `command` under a guard, as long as process `parent` lives."""
    guard = [sys.executable, "-P", "-m", "chronon_beam.pipeline.runners.guard"]
    return [*guard, parent, str(grace_s), *command]


def start(
    command: Sequence[str], log: Path, environment: Mapping[str, str], grace_s: float = 5.0
) -> subprocess.Popen[bytes]:
    """Start `command` under a guard that this process is the parent of.

    The guard has a session of its own: Ctrl-C reaches the launcher alone, which stops it in order.

    Args:
        command: the program and its arguments.
        log: takes its output, appended.
        environment: laid over this process's own.
        grace_s: seconds between SIGTERM and SIGKILL when it is ended.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            command_line(command, str(os.getpid()), grace_s),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=True,
        )


def stop(guard: subprocess.Popen[bytes]) -> None:
    """End a guarded command and wait until it is gone."""
    guard.terminate()
    guard.wait()


def run(command: Sequence[str], parent: int, grace_s: float) -> int:
    """Run `command` to its end, or until `parent` is gone; gives its exit code."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno())
    for number in (*_ENDING, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    if _ON_LINUX:
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    child = subprocess.Popen(
        command, start_new_session=True, preexec_fn=_die_with_guard if _ON_LINUX else None
    )
    while child.poll() is None and os.getppid() == parent:
        ready, _, _ = select.select([reader], [], [], _POLL_S)
        if ready and not set(reader.recv(4096)).isdisjoint(_ENDING):
            break
        if ready:
            _reap_adopted(child.pid)
    _end(child, grace_s)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _reap_adopted(child: int) -> None:
    """Reap processes that were adopted and have ended: otherwise they stay as zombies."""
    for pid in _children(os.getpid()):
        if pid != child:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _end(child: subprocess.Popen[bytes], grace_s: float) -> None:
    """End the child's group, and then the processes that have left it and were adopted."""
    if child.poll() is None:
        _signal_group(child.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            child.wait(grace_s)
    _signal_group(child.pid, signal.SIGKILL)
    child.wait()
    for _ in range(_KILL_ROUNDS):
        adopted = list(_children(os.getpid()))
        if not adopted:
            return
        for pid in adopted:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


def _signal_group(group: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _children(parent: int) -> Iterator[int]:
    """The children of a process, the oldest first, by /proc; none on systems without it."""
    found: list[tuple[int, int]] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # The name before the last `)` may hold blanks; state and parent follow it.
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                found.append((int(fields[_STARTED]), int(stat.parent.name)))
    return (pid for _, pid in sorted(found))


def _die_with_guard() -> None:
    """Runs in the child before exec: a SIGKILL of the guard then kills the command, too."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def wait_for_child(guard: subprocess.Popen[bytes], timeout_s: float = 10.0) -> int:
    """The process id of the guarded command itself, on Linux: adopted processes are younger.

    Raises:
        TimeoutError: if it does not show up in time.
    """
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        for pid in _children(guard.pid):
            return pid
        time.sleep(0.05)
    raise TimeoutError(f"process {guard.pid} has started nothing within {timeout_s} s")


if __name__ == "__main__":
    sys.exit(run(sys.argv[3:], int(sys.argv[1]), float(sys.argv[2])))
