"""CPU time of this process and all that it has started, by kind."""

import os
from collections import defaultdict
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s() -> dict[str, float]:
    """Seconds of CPU so far: `python` (this one), `spark`, `flink`, `workers`, `other`."""
    parents: dict[int, int] = {}
    times: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue  # it has ended since
            parents[int(entry.name)] = int(fields[1])
            times[int(entry.name)] = (int(fields[11]) + int(fields[12])) / _TICKS
    mine = os.getpid()
    total: dict[str, float] = defaultdict(float)
    for pid, seconds in times.items():
        if _descends(pid, mine, parents):
            total["python" if pid == mine else _kind(pid)] += seconds
    return dict(total)


def _descends(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        pid = parents.get(pid, 0)
    return False


def _kind(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "other"
    for kind, sign in (("spark", b"spark"), ("flink", b"flink"), ("workers", b"sdk_worker")):
        if sign in command:
            return kind
    return "other"
