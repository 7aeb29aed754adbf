"""CPU time and memory of a process and all that it has started, by kind."""

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

_TICKS = os.sysconf("SC_CLK_TCK")


def _stats() -> Iterator[tuple[int, list[str]]]:
    """The id of each process, and what its `stat` has after the name of its command."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                yield int(entry.name), (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue  # it has ended since


def cpu_s() -> dict[str, float]:
    """Seconds of CPU so far: `python` (this one), `spark`, `flink`, `workers`, `other`.

    An emulator does not count.
    """
    parents: dict[int, int] = {}
    times: dict[int, float] = {}
    for pid, fields in _stats():
        parents[pid] = int(fields[1])
        times[pid] = (int(fields[11]) + int(fields[12])) / _TICKS
    mine = os.getpid()
    total: dict[str, float] = defaultdict(float)
    for pid, seconds in times.items():
        if _descends(pid, mine, parents):
            total["python" if pid == mine else _kind(pid)] += seconds
    total.pop("emulator", None)  # it stands for a service elsewhere
    return dict(total)


def tree_cpu_s(root: int) -> float:
    """Seconds of CPU so far of a process, all that it has started, and those that have ended."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for pid, fields in _stats():
        parents[pid], ticks[pid] = int(fields[1]), sum(map(int, fields[11:15]))
    return sum(n for pid, n in ticks.items() if _descends(pid, root, parents)) / _TICKS


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
    signs = {
        "emulator": b"emulator",
        "broker": b"kafka.Kafka",
        "producer": b"kafka_load",
        "spark": b"spark",
        "flink": b"flink",
        "workers": b"sdk_worker",
    }
    for kind, sign in signs.items():
        if sign in command:
            return kind
    return "other"


class PeakMemory:
    """Watches the resident memory of a process and its children; a context manager.

    Attributes:
        by_kind_mb: the most of each kind at any time, and of `all` together.
    """

    def __init__(self, pid: int, interval_s: float = 0.25) -> None:
        self.by_kind_mb: dict[str, float] = defaultdict(float)
        self._pid = pid
        self._interval_s = interval_s
        self._over = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(self._interval_s):
            now = resident_mb(self._pid)
            for kind, megabytes in {**now, "all": sum(now.values())}.items():
                self.by_kind_mb[kind] = max(self.by_kind_mb[kind], round(megabytes, 1))


def resident_mb(root: int = os.getpid()) -> dict[str, float]:
    """Resident memory of a process and of all that it has started, by kind."""
    parents: dict[int, int] = {}
    pages: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue  # it has ended since
            parents[int(entry.name)], pages[int(entry.name)] = int(fields[1]), int(fields[21])
    total: dict[str, float] = defaultdict(float)
    for pid, number in pages.items():
        if _descends(pid, root, parents):
            kind = "python" if pid == root else _kind(pid)
            total[kind] += number * os.sysconf("SC_PAGE_SIZE") / (1 << 20)
    return dict(total)
