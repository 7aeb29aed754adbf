"""A batch of cells to one table: sent in bounded calls, each cell until it is taken or given up."""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

import grpc

from chronon_beam.io.bigtable import codes
from chronon_beam.io.bigtable.adaptive_rate import AdaptiveRate
from chronon_beam.io.bigtable.cells import Cell
from chronon_beam.io.bigtable.codes import Status
from chronon_beam.io.bigtable.options import BigtableOptions
from chronon_beam.io.bigtable.write_order import OpenWrite, WriteOrder

_SAY_AFTER_S = 5.0
_SAY_EVERY_S = 30.0

_log = logging.getLogger(__name__)


class Connection(Protocol):
    """What a writer needs of a `BigtableClient`."""

    options: BigtableOptions
    order: WriteOrder
    rate: AdaptiveRate
    slots: Any

    def mutate_rows(self, table: str, entries: Any) -> Any:
        """Start a call."""
        ...

    def remake(self, table: str) -> bool:
        """Make a table that is gone; whether it is there now."""
        ...


class Call(NamedTuple):
    """A call that is under way, and the cells in it."""

    cells: list[Cell]
    answers: Any


def _answered(call: Call) -> tuple[dict[Cell, Status], list[Cell]]:
    """What was refused of a call, and the cells of which one spoils the call for the others."""
    unanswered = set(range(len(call.cells)))
    refused: dict[Cell, Status] = {}
    missing = Status(codes.UNKNOWN, "no answer for this entry")
    try:
        for answer in call.answers:
            for each in answer.entries:
                if each.index not in unanswered:
                    continue  # not of this call; what has no answer is sent again
                unanswered.discard(each.index)
                if each.status.code:
                    status = Status(each.status.code, each.status.message)
                    refused[call.cells[each.index]] = status
    except grpc.RpcError as error:
        missing = codes.status_of(error)
    left = [call.cells[index] for index in sorted(unanswered)]
    if missing.code in codes.OF_ONE_ENTRY and len(left) > 1:
        return refused, left
    return refused | dict.fromkeys(left, missing), []


class Trouble:
    """What a batch that does not get through has seen.

    Attributes:
        rounds: how often something of it was tried again.
        began_s: when it was refused first.
        remade: whether its table was gone and is made anew.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.rounds = 0
        self.remade = False
        self.attempts: Counter[Cell] = Counter()
        self.began_s = self._said_s = clock()
        self._clock = clock

    @property
    def lasts_s(self) -> float:
        """For how long."""
        return self._clock() - self.began_s

    def say(self, name: str, cells: int, status: Status, wait_ms: int) -> None:
        """Tell the log, now and then, that a job is waiting and for what."""
        now = self._clock()
        due_s = _SAY_AFTER_S if self._said_s == self.began_s else _SAY_EVERY_S
        if now - self._said_s < due_s:
            return
        self._said_s = now
        _log.warning(
            "Bigtable %s has not taken %d cells for %.0f s (%s): the job waits, for %.0f s more",
            name,
            cells,
            self.lasts_s,
            status,
            max(0.0, wait_ms / 1000 - self.lasts_s),
        )


class BigtableWriter:
    """Writes cells through a connection.

    Args:
        connection: to the instance; shared by the writers of a process.
        clock: seconds.
        sleep: waits that many seconds.

    Attributes:
        retried: how many cells were sent again, since it was made.
    """

    def __init__(
        self,
        connection: Connection,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.retried = 0
        self._connection, self._clock, self._sleep = connection, clock, sleep
        self._options = connection.options

    def write(self, table: str, entries: Mapping[Cell, bytes]) -> dict[Cell, str]:
        """Write all; the reasons why some are given up.

        Args:
            table: the table's id.
            entries: what is sent for each cell, see `cells.entry`.
        """
        given_up: dict[Cell, str] = {}
        pending = dict(entries)
        trouble: Trouble | None = None
        with self._connection.order.write(entries.keys()) as write:
            while pending:
                pending, statuses = self._attempt(table, pending, write)
                if not statuses:
                    break
                trouble = trouble or Trouble(self._clock)
                again = self._sorted(table, statuses, trouble, given_up)
                pending = {cell: pending[cell] for cell in again}
                if pending:
                    self._pause(pending, next(iter(again.values())), trouble)
        return given_up

    def _attempt(
        self, table: str, pending: dict[Cell, bytes], write: OpenWrite
    ) -> tuple[dict[Cell, bytes], dict[Cell, Status]]:
        """Send once: what was sent, and what was refused of it."""
        with self._connection.order.attempt(write) as superseded:
            if superseded:
                pending = {cell: sent for cell, sent in pending.items() if cell not in superseded}
            return pending, self._send(table, pending)

    def _send(self, table: str, entries: Mapping[Cell, bytes]) -> dict[Cell, Status]:
        refused: dict[Cell, Status] = {}
        calls: deque[Call] = deque()
        try:
            for cells in self._portions(entries):
                # An overloaded store is asked how it took a call before it gets the next.
                while calls and self._connection.rate.limit is not None:
                    refused |= self._outcome(table, entries, calls.popleft())
                # Whoever has calls under way looks after them before waiting for others' to end.
                while not self._connection.slots.acquire(blocking=not calls):
                    refused |= self._outcome(table, entries, calls.popleft())
                calls.append(self._started(table, entries, cells))
            while calls:
                refused |= self._outcome(table, entries, calls.popleft())
        finally:
            self._abandon(calls)
        return refused

    def _abandon(self, calls: Iterable[Call]) -> None:
        """Nobody waits for these any more, because of an error."""
        for call in calls:
            call.answers.cancel()
            self._connection.slots.release()

    def _portions(self, entries: Mapping[Cell, bytes]) -> Iterator[list[Cell]]:
        """Calls of at most so many rows and bytes."""
        portion: list[Cell] = []
        size = 0
        for cell, sent in entries.items():
            if portion and (
                len(portion) == self._options.rows or size + len(sent) > self._options.bytes
            ):
                yield portion
                portion, size = [], 0
            portion.append(cell)
            size += len(sent)
        if portion:
            yield portion

    def _started(self, table: str, entries: Mapping[Cell, bytes], cells: list[Cell]) -> Call:
        try:
            self._connection.rate.wait(len(cells))
            sent = [entries[cell] for cell in cells]
            return Call(cells, self._connection.mutate_rows(table, sent))
        except BaseException:
            self._connection.slots.release()
            raise

    def _outcome(self, table: str, entries: Mapping[Cell, bytes], call: Call) -> dict[Cell, Status]:
        """What was refused of a call; the rest is written."""
        try:
            refused, blame = _answered(call)
        finally:
            self._connection.slots.release()
        if blame:
            return refused | self._halved(table, entries, blame)
        self._tell_rate(refused)
        return refused

    def _halved(
        self, table: str, entries: Mapping[Cell, bytes], cells: list[Cell]
    ) -> dict[Cell, Status]:
        """Of a call that was refused as a whole, find the entry that is to blame."""
        middle = len(cells) // 2
        first, second = cells[:middle], cells[middle:]
        return self._send(table, {cell: entries[cell] for cell in first}) | self._send(
            table, {cell: entries[cell] for cell in second}
        )

    def _tell_rate(self, refused: Mapping[Cell, Status]) -> None:
        if any(status.code == codes.EXHAUSTED for status in refused.values()):
            self._connection.rate.refused()
        elif not refused:
            self._connection.rate.taken()

    def _sorted(
        self,
        table: str,
        statuses: Mapping[Cell, Status],
        trouble: Trouble,
        given_up: dict[Cell, str],
    ) -> dict[Cell, Status]:
        """Those to be tried again; the others, with their reasons, join `given_up`."""
        trouble.rounds += 1
        trouble.attempts.update(statuses.keys())
        over = trouble.lasts_s * 1000 >= self._options.wait_ms
        made = False
        if not trouble.remade and any(s.code == codes.NOT_FOUND for s in statuses.values()):
            made = trouble.remade = self._connection.remake(table)
        again = {}
        for cell, status in statuses.items():
            passes = codes.may_pass(status, trouble.attempts[cell])
            if (passes and not over) or (made and status.code == codes.NOT_FOUND):
                again[cell] = status
            else:
                tries = trouble.attempts[cell]
                tried = f" (tried {tries} times in {trouble.lasts_s:.0f} s)" if tries > 1 else ""
                given_up[cell] = f"{status}{tried}"
        return again

    def _pause(self, pending: Mapping[Cell, bytes], status: Status, trouble: Trouble) -> None:
        self.retried += len(pending)
        trouble.say(self._options.name, len(pending), status, self._options.wait_ms)
        left_s = self._options.wait_ms / 1000 - trouble.lasts_s
        self._sleep(min(codes.pause_s(trouble.rounds), max(left_s, 0.01)))
