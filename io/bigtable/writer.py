"""Writes a batch of cells to one table, in calls of bounded size.

Each cell is sent until it is stored. A cell that Bigtable refuses for good, or for too long, is
given up with a reason.
"""

import logging
import threading
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

_REMAKES = 5
"""How often a batch looks for its table, and makes it, when Bigtable does not find something."""

_SAY_AFTER_S = 5.0
_SAY_EVERY_S = 30.0

_log = logging.getLogger(__name__)


class Connection(Protocol):
    """What a writer needs of a `BigtableClient`."""

    options: BigtableOptions
    order: WriteOrder
    rate: AdaptiveRate
    slots: threading.BoundedSemaphore

    def mutate_rows(self, table: str, entries: Iterable[bytes]) -> "Responses":
        """Start a call."""
        ...

    def remake(self, table: str) -> bool:
        """Make a table that is gone; whether it is there now."""
        ...


class Responses(Protocol):
    """The responses of a MutateRows call."""

    def __iter__(self) -> Iterator[Any]:
        """MutateRowsResponse messages; raises grpc.RpcError."""
        ...

    def cancel(self) -> object:
        """End the call."""
        ...


class Call(NamedTuple):
    """A call that is under way, and the cells in it."""

    cells: list[Cell]
    responses: Responses


class Outcome(NamedTuple):
    """How a call ended: what Bigtable refused, and what has to be sent again in smaller calls.

    Attributes:
        refused: the status of each cell that was not stored.
        suspects: cells of a call that failed as a whole because of at least one of them.
    """

    refused: dict[Cell, Status]
    suspects: list[Cell]


def _outcome(call: Call) -> Outcome:
    unanswered = set(range(len(call.cells)))
    refused: dict[Cell, Status] = {}
    missing = Status(codes.UNKNOWN, "no answer for this entry")
    try:
        for response in call.responses:
            for each in response.entries:
                if each.index not in unanswered:
                    continue  # answered twice, or not in this call
                unanswered.discard(each.index)
                if each.status.code:
                    status = Status(each.status.code, each.status.message)
                    refused[call.cells[each.index]] = status
    except grpc.RpcError as error:
        missing = codes.status_of(error)
    left = [call.cells[index] for index in sorted(unanswered)]
    if missing.code in codes.OF_ONE_ENTRY and len(left) > 1:
        return Outcome(refused, left)
    return Outcome(refused | dict.fromkeys(left, missing), [])


class Trouble:
    """What happened so far to a batch of which Bigtable has refused cells.

    Attributes:
        rounds: how often cells of the batch were sent again.
        began_s: when Bigtable first refused a cell.
        remakes: how often the table was looked for, and made if it was missing.
        attempts: how often each refused cell was sent.
        ambiguous: how often each cell was refused with a code that may or may not pass.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.rounds = 0
        self.remakes = 0
        self.attempts: Counter[Cell] = Counter()
        self.ambiguous: Counter[Cell] = Counter()
        self.began_s = self._said_s = clock()
        self._clock = clock

    @property
    def lasts_s(self) -> float:
        """How long the batch has been refused."""
        return self._clock() - self.began_s

    def count(self, statuses: Mapping[Cell, Status]) -> None:
        """Count a round in which these cells were refused."""
        self.rounds += 1
        self.attempts.update(statuses.keys())
        self.ambiguous.update(c for c, status in statuses.items() if status.code in codes.AMBIGUOUS)

    def say(self, name: str, cells: int, status: Status, wait_ms: int) -> None:
        """Log, at most every 30 s, that the job waits, and for what."""
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
        retried: how many cells were sent again, since the writer was made.
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
        """Write all cells; gives the reason for each cell that was given up.

        Args:
            table: the table's id.
            entries: the bytes to send for each cell, see `cells.entry`.
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
                again = self._cells_to_resend(table, statuses, trouble, given_up)
                pending = {cell: pending[cell] for cell in again}
                if pending:
                    self._pause(pending, next(iter(again.values())), trouble)
        return given_up

    def _attempt(
        self, table: str, pending: dict[Cell, bytes], write: OpenWrite
    ) -> tuple[dict[Cell, bytes], dict[Cell, Status]]:
        """Send once; gives what was sent, and the status of each cell that was refused."""
        with self._connection.order.attempt(write) as superseded:
            if superseded:
                pending = {cell: sent for cell, sent in pending.items() if cell not in superseded}
            return pending, self._send(table, pending)

    def _send(self, table: str, entries: Mapping[Cell, bytes]) -> dict[Cell, Status]:
        refused: dict[Cell, Status] = {}
        calls: deque[Call] = deque()
        try:
            for cells in self._portions(entries):
                # An overloaded store gets a call only after it has answered the one before.
                while calls and self._connection.rate.limit is not None:
                    refused |= self._finish(table, entries, calls.popleft())
                # A thread that has calls under way ends them before it waits for other threads.
                while not self._connection.slots.acquire(blocking=not calls):
                    refused |= self._finish(table, entries, calls.popleft())
                calls.append(self._start(table, entries, cells))
            while calls:
                refused |= self._finish(table, entries, calls.popleft())
        finally:
            self._abandon(calls)
        return refused

    def _abandon(self, calls: Iterable[Call]) -> None:
        """End the calls that are under way, because of an error in another one."""
        for call in calls:
            call.responses.cancel()
            self._connection.slots.release()

    def _portions(self, entries: Mapping[Cell, bytes]) -> Iterator[list[Cell]]:
        """The cells of each call: at most `rows` cells and `bytes` bytes."""
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

    def _start(self, table: str, entries: Mapping[Cell, bytes], cells: list[Cell]) -> Call:
        try:
            self._connection.rate.wait(len(cells))
            sent = [entries[cell] for cell in cells]
            return Call(cells, self._connection.mutate_rows(table, sent))
        except BaseException:
            self._connection.slots.release()
            raise

    def _finish(self, table: str, entries: Mapping[Cell, bytes], call: Call) -> dict[Cell, Status]:
        """Wait for a call; gives the cells that were refused. All others are stored."""
        try:
            refused, suspects = _outcome(call)
        finally:
            self._connection.slots.release()
        if suspects:
            return refused | self._send_halves(table, entries, suspects)
        self._adapt_rate(refused)
        return refused

    def _send_halves(
        self, table: str, entries: Mapping[Cell, bytes], cells: list[Cell]
    ) -> dict[Cell, Status]:
        """Send the cells of a call that failed as a whole in two calls, to find the bad entry."""
        middle = len(cells) // 2
        first, second = cells[:middle], cells[middle:]
        return self._send(table, {cell: entries[cell] for cell in first}) | self._send(
            table, {cell: entries[cell] for cell in second}
        )

    def _adapt_rate(self, refused: Mapping[Cell, Status]) -> None:
        if any(status.code == codes.EXHAUSTED for status in refused.values()):
            self._connection.rate.cut()
        elif not refused:
            self._connection.rate.grow()

    def _cells_to_resend(
        self,
        table: str,
        statuses: Mapping[Cell, Status],
        trouble: Trouble,
        given_up: dict[Cell, str],
    ) -> dict[Cell, Status]:
        """The cells to send again; the other ones are added to `given_up` with their reasons."""
        trouble.count(statuses)
        over = trouble.lasts_s * 1000 >= self._options.wait_ms
        remade = self._remake(table, statuses, trouble)
        again = {}
        for cell, status in statuses.items():
            passes = codes.may_pass(status, trouble.ambiguous[cell])
            if (passes and not over) or (remade and status.code == codes.NOT_FOUND):
                again[cell] = status
            else:
                tries = trouble.attempts[cell]
                tried = f" (tried {tries} times in {trouble.lasts_s:.0f} s)" if tries > 1 else ""
                given_up[cell] = f"{status}{tried}"
        return again

    def _remake(self, table: str, statuses: Mapping[Cell, Status], trouble: Trouble) -> bool:
        """Make the table if it is gone; whether to send again what was not found.

        A table that cannot be made now, for example while the connection is broken, may be made
        in the next round, until the batch has been refused for too long.
        """
        if all(status.code != codes.NOT_FOUND for status in statuses.values()):
            return False
        if trouble.remakes == _REMAKES:
            return False
        trouble.remakes += 1
        return self._connection.remake(table) or trouble.lasts_s * 1000 < self._options.wait_ms

    def _pause(self, pending: Mapping[Cell, bytes], status: Status, trouble: Trouble) -> None:
        self.retried += len(pending)
        trouble.say(self._options.name, len(pending), status, self._options.wait_ms)
        left_s = self._options.wait_ms / 1000 - trouble.lasts_s
        self._sleep(min(codes.pause_s(trouble.rounds), max(left_s, 0.01)))
