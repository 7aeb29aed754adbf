"""Keeps writes that are sent again from overwriting younger writes of the same process.

    A  cell 1 --x------------------------x--(dropped)      x: an attempt that fails
    B            cell 1 ----(waits)------|------o          o: one that is taken

When a write (B) begins, all older writes that are under way (A) drop the cells that B writes: they
do not send these cells again. While an older write is sending one of the cells, B waits for the
outcome.
"""

import threading
from collections.abc import Hashable, Iterator, Set
from contextlib import contextmanager


class OpenWrite:
    """A write that is under way.

    Attributes:
        cells: the cells that it writes.
        superseded: those of its cells that a younger write has taken.
        sending: whether an attempt is under way.
        older: writes with common cells whose attempts this write waits for.
    """

    def __init__(self, cells: Set[Hashable], older: list["OpenWrite"]) -> None:
        self.cells = cells
        self.superseded: set[Hashable] = set()
        self.sending = False
        self.older = older


class WriteOrder:
    """The writes of a process to one store that are under way."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open: list[OpenWrite] = []

    @contextmanager
    def write(self, cells: Set[Hashable]) -> Iterator[OpenWrite]:
        """A write of these cells: it begins here and ends with the block."""
        with self._changed:
            write = OpenWrite(cells, [])
            for older in self._open:
                common = older.cells & cells
                if common:
                    older.superseded |= common
                    write.older.append(older)
            self._open.append(write)
        try:
            yield write
        finally:
            with self._changed:
                self._open.remove(write)

    @contextmanager
    def attempt(self, write: OpenWrite) -> Iterator[Set[Hashable]]:
        """One attempt of a write; gives the cells not to send, since a younger write has them."""
        with self._changed:
            self._changed.wait_for(lambda: not any(older.sending for older in write.older))
            write.older.clear()
            write.sending = True
            superseded = frozenset(write.superseded)
        try:
            yield superseded
        finally:
            with self._changed:
                write.sending = False
                self._changed.notify_all()
