"""Batches, retries and their end, on a connection whose answers the test sets."""

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.cloud.bigtable_v2 import types

from chronon_beam.io.bigtable.adaptive_rate import AdaptiveRate
from chronon_beam.io.bigtable.cells import Cell
from chronon_beam.io.bigtable.options import BigtableOptions
from chronon_beam.io.bigtable.write_order import WriteOrder
from chronon_beam.io.bigtable.writer import BigtableWriter

OPTIONS = BigtableOptions("p", "i", rows=3, in_flight=2, wait_ms=60_000)
UNAVAILABLE = 14
PERMISSION_DENIED = 7
NOT_FOUND = 5
INTERNAL = 13


class Down(grpc.RpcError):
    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return "gone"


class Scripted:
    """Answers the n-th call by `script(n, entries)`: codes of its entries, or an error."""

    def __init__(self, script: Callable[[int, list[bytes]], Any], options: Any = OPTIONS) -> None:
        self.options, self.script = options, script
        self.order = WriteOrder()
        self.now_s = 0.0
        self.rate = AdaptiveRate("s", lambda: self.now_s, self.sleep)
        self.slots = threading.BoundedSemaphore(options.in_flight)
        self.calls: list[list[bytes]] = []
        self.under_way = self.most_under_way = 0
        self.remakes: list[bool] = []

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def mutate_rows(self, table: str, entries: list[bytes]) -> "Answers":
        self.calls.append(entries)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        return Answers(self, self.script(len(self.calls) - 1, entries))

    def remake(self, table: str) -> bool:
        return self.remakes.pop()

    def writer(self) -> BigtableWriter:
        return BigtableWriter(self, lambda: self.now_s, self.sleep)


class Answers:
    def __init__(self, connection: Scripted, outcome: Any) -> None:
        self._connection, self._outcome = connection, outcome

    def __iter__(self) -> Iterator[Any]:
        self._connection.under_way -= 1
        if isinstance(self._outcome, Exception):
            raise self._outcome
        answer = types.MutateRowsResponse.pb()()
        codes = self._outcome if isinstance(self._outcome, dict) else dict(enumerate(self._outcome))
        for index, code in codes.items():
            answer.entries.add(index=index).status.code = code
        yield answer

    def cancel(self) -> None:
        self._connection.under_way -= 1


def cells(number: int) -> dict[Cell, bytes]:
    return {Cell(b"%d" % i, b"value", 0): b"entry%d" % i for i in range(number)}


def taken(_: int, entries: list[bytes]) -> list[int]:
    return [0] * len(entries)


def test_calls_hold_so_many_rows_and_bytes_and_so_many_are_under_way() -> None:
    connection = Scripted(taken)
    assert connection.writer().write("t", cells(8)) == {}
    assert [len(call) for call in connection.calls] == [3, 3, 2]
    assert connection.most_under_way == 2
    connection = Scripted(taken, OPTIONS._replace(bytes=13))
    connection.writer().write("t", cells(4))
    assert [len(call) for call in connection.calls] == [2, 2]


def test_each_cell_is_sent_until_it_is_taken_and_slots_come_back() -> None:
    answers = [[0, UNAVAILABLE, 0], Down(), [UNAVAILABLE, 0], [0]]
    connection = Scripted(lambda number, _: answers[number], OPTIONS._replace(in_flight=1))
    writer = connection.writer()
    assert writer.write("t", cells(4)) == {}
    assert connection.calls == [
        [b"entry0", b"entry1", b"entry2"],
        [b"entry3"],
        [b"entry1", b"entry3"],
        [b"entry1"],
    ]
    assert writer.retried == 3
    assert connection.slots.acquire(blocking=False)


def test_entries_without_an_answer_are_sent_again() -> None:
    answers: list[list[int]] = [[0], [0, 0]]
    connection = Scripted(lambda number, _: answers[number])
    assert connection.writer().write("t", cells(3)) == {}
    assert connection.calls[1] == [b"entry1", b"entry2"]


def test_store_that_is_down_is_waited_for_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    connection = Scripted(lambda number, entries: taken(0, entries) if number > 20 else Down())
    with caplog.at_level(logging.WARNING):
        assert connection.writer().write("t", cells(1)) == {}
    said = [record.getMessage() for record in caplog.records]
    assert 1 <= len(said) <= 4
    assert "projects/p/instances/i has not taken 1 cells for" in said[0]
    assert "(UNAVAILABLE: gone): the job waits, for" in said[0]


def test_wait_ends_after_its_time_with_the_code_and_number_of_attempts() -> None:
    connection = Scripted(lambda *_: Down())
    ((_, reason),) = connection.writer().write("t", cells(1)).items()
    assert 60 <= connection.now_s <= 61
    assert reason == f"UNAVAILABLE: gone (tried {len(connection.calls)} times in 60 s)"


def test_cell_that_a_younger_write_has_taken_is_not_sent_again() -> None:
    def script(number: int, entries: list[bytes]) -> Any:
        if number == 0:
            return Down()
        return taken(number, entries)

    connection = Scripted(script)

    def sleep(seconds: float) -> None:
        younger = {Cell(b"0", b"value", 0): b"younger"}
        assert connection.writer().write("t", younger) == {}

    older = BigtableWriter(connection, lambda: connection.now_s, sleep)
    assert older.write("t", cells(2)) == {}
    assert connection.calls == [[b"entry0", b"entry1"], [b"younger"], [b"entry1"]]


def test_refused_cells_do_not_hold_up_the_others() -> None:
    answers = [[PERMISSION_DENIED, UNAVAILABLE], [0]]
    connection = Scripted(lambda number, _: answers[number])
    assert list(connection.writer().write("t", cells(2)).values()) == ["PERMISSION_DENIED: "]
    assert connection.calls == [[b"entry0", b"entry1"], [b"entry1"]]


def test_a_missing_table_is_made_again_as_often_as_it_is_missing_even_if_not_at_once() -> None:
    answers = [[NOT_FOUND, 0], [NOT_FOUND], [NOT_FOUND], [0]]
    connection = Scripted(lambda number, _: answers[number])
    connection.remakes = [True, False, True]
    assert connection.writer().write("t", cells(2)) == {}
    assert connection.calls == [[b"entry0", b"entry1"], *[[b"entry0"]] * 3]
    assert connection.remakes == []


def test_an_ambiguous_refusal_after_an_outage_is_not_the_last_of_many() -> None:
    answers = [Down() for _ in range(20)] + [[INTERNAL]] * 4 + [[0]]
    connection = Scripted(lambda number, _: answers[number])
    assert connection.writer().write("t", cells(1)) == {}
    connection = Scripted(lambda *_: [INTERNAL])
    assert list(connection.writer().write("t", cells(1)).values()) == [
        f"INTERNAL:  (tried 5 times in {connection.now_s:.0f} s)"
    ]


def test_what_is_never_found_is_given_up() -> None:
    connection = Scripted(lambda *_: [NOT_FOUND])
    connection.remakes = [True] * 5
    reasons = connection.writer().write("t", cells(1)).values()
    assert [reason.split(" in ")[0] for reason in reasons] == ["NOT_FOUND:  (tried 6 times"]
    assert connection.remakes == []


def test_answers_may_come_in_any_order_and_strange_ones_are_left_out() -> None:
    answers: list[Any] = [{2: 0, 9: 7, 1: UNAVAILABLE, 0: 0, -1: 7}, [0]]
    connection = Scripted(lambda number, _: answers[number])
    assert connection.writer().write("t", cells(3)) == {}
    assert connection.calls[1] == [b"entry1"]


def test_error_that_nobody_expects_leaves_no_call_and_no_slot_behind() -> None:
    outcomes = [ValueError("closed channel"), [0, 0, 0], [0, 0, 0]]
    connection = Scripted(lambda number, _: outcomes[number])
    with pytest.raises(ValueError, match="closed channel"):
        connection.writer().write("t", cells(6))
    assert connection.under_way == 0
    for _ in range(OPTIONS.in_flight):
        assert connection.slots.acquire(blocking=False)


def test_overloaded_store_gets_one_call_at_a_time_from_each_writer() -> None:
    connection = Scripted(taken)
    connection.rate.limit = 1.0
    connection.writer().write("t", cells(6))
    assert connection.most_under_way == 1
