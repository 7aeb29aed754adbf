"""Beam's state and timers of one (shard, window), in plain fields."""

from copy import deepcopy
from typing import Any

from chronon_beam.transforms.tiling.state import StateChange, apply


class Log:
    """A bag state."""

    def __init__(self) -> None:
        self.blobs: list[bytes] = []

    def read(self) -> list[bytes]:
        return list(self.blobs)

    def add(self, value: bytes) -> None:
        self.blobs.append(value)

    def clear(self) -> None:
        self.blobs.clear()


class Cell:
    """A state of one value."""

    def __init__(self) -> None:
        self.value: bytes | None = None

    def read(self) -> bytes | None:
        return self.value

    def write(self, value: bytes) -> None:
        self.value = value

    def clear(self) -> None:
        self.value = None


class Timer:
    """A timer; `due` is when it fires, None when it is not set."""

    def __init__(self) -> None:
        self.due: Any = None

    def set(self, timestamp: Any) -> None:
        self.due = timestamp


class State:
    """All that Beam keeps of a (shard, window)."""

    def __init__(self) -> None:
        self.log, self.cell, self.phase_end = Log(), Cell(), Timer()

    def take(self, change: StateChange | None) -> None:
        if change is not None:
            apply(change, self.log, self.cell)

    def checkpoint(self) -> "State":
        """A copy, as a checkpoint would hold it."""
        return deepcopy(self)
