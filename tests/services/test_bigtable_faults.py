"""Writes through a network with all kinds of faults: nothing is lost, every failure is reported."""

import asyncio
import base64
import itertools
import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import apache_beam as beam
import grpc
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from bigtable_emulator import BigtableEmulator
from bigtable_proxy import BigtableProxy, Fault

from chronon_beam.api.counts import Metric
from chronon_beam.api.records import Failure, GetRequest, PutRequest, TimedValue
from chronon_beam.io.bigtable.errors import BigtableError
from chronon_beam.io.bigtable.write_to_bigtable import WriteToBigtable
from chronon_beam.io.kv_store import KVStore, open_store
from chronon_beam.io.testing import HOUR, NOON, tile

Code = grpc.StatusCode
PASSING = (
    Code.UNAVAILABLE,
    Code.DEADLINE_EXCEEDED,
    Code.ABORTED,
    Code.CANCELLED,
    Code.RESOURCE_EXHAUSTED,
    Code.INTERNAL,
    Code.UNKNOWN,
)
LASTING = (
    Code.INVALID_ARGUMENT,
    Code.NOT_FOUND,
    Code.ALREADY_EXISTS,
    Code.PERMISSION_DENIED,
    Code.FAILED_PRECONDITION,
    Code.OUT_OF_RANGE,
    Code.UNIMPLEMENTED,
    Code.DATA_LOSS,
    Code.UNAUTHENTICATED,
)
KEYS = 4000
ROUNDS = 50
LIST = 1000
TILE_MS = 300_000
TABLE = "projects/test-project/instances/faults/tables/GROUPBY_STREAMING"


@pytest.fixture
def proxy(
    bigtable_emulator: BigtableEmulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[BigtableProxy]:
    proxy = BigtableProxy(bigtable_emulator.host)
    proxy.start()
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", proxy.host)
    yield proxy
    proxy.stop()


def puts_of(number: int) -> list[PutRequest]:
    """List `number` of all: each round writes every key once, most to the tile of the round before.

    A tenth of the list comes twice, so that the newest of a list has to win.
    """
    first = number * LIST
    found = []
    for i in range(first, first + LIST):
        key, in_round = i % KEYS, i // KEYS
        start_ms = NOON + in_round // 20 * TILE_MS
        value = b"%d" % i
        if i % 10 == 0:
            found.append(tile("FAULTS_STREAMING", b"k%d" % key, start_ms, b"older", TILE_MS))
        found.append(tile("FAULTS_STREAMING", b"k%d" % key, start_ms, value, TILE_MS))
    return found


class Seen:
    """What the pipeline, whose functions are pickled, leaves for the test."""

    dead: ClassVar[list[Failure]] = []
    current_list = 0

    @staticmethod
    def listed(number: int) -> list[PutRequest]:
        Seen.current_list = number
        return puts_of(number)

    @staticmethod
    def bury(failure: Failure) -> None:
        Seen.dead.append(failure)


class Weather:
    """Which call meets with what; `killed_at` is set when the emulator has been killed."""

    def __init__(
        self, proxy: BigtableProxy, emulator: BigtableEmulator, chance: random.Random
    ) -> None:
        self.killed_at: int | None = None
        self._chance = chance
        self._proxy, self._emulator = proxy, emulator
        rpc = [Fault(code) for code in (*PASSING, *LASTING)]
        entries = [Fault(entries=_every_fiftieth(code)) for code in (*PASSING, *LASTING)]
        applied = [Fault(Code.UNAVAILABLE, applied=True), Fault(Code.DEADLINE_EXCEEDED, True)]
        slow = [Fault(delay_s=0.3), Fault(delay_s=3.5)]
        cuts = [Fault(before=self._cut)] * 3
        self._faults = [*rpc, *entries, *applied * 3, *slow, *cuts]
        self._chance.shuffle(self._faults)

    def __call__(self, number: int, rows: list[bytes]) -> Fault | None:
        if number == 60:
            return Fault(Code.UNAVAILABLE, before=self._kill)
        if number % 3 == 1 and self._faults:
            return self._faults.pop()
        return None

    @property
    def over(self) -> bool:
        return not self._faults

    def _cut(self) -> None:
        threading.Thread(target=self._proxy.cut, args=(0.2,)).start()

    def _kill(self) -> None:
        self.killed_at = Seen.current_list
        self._emulator.kill()
        self._emulator.start()


def _every_fiftieth(code: grpc.StatusCode) -> Any:
    """A code for some entries of a call, the first one among them."""
    numbers = itertools.count()
    return lambda row: None if next(numbers) % 50 else code


def test_200_000_tile_writes_end_as_they_should_but_for_the_dead_letters(
    proxy: BigtableProxy, bigtable_emulator: BigtableEmulator, chance: random.Random
) -> None:
    proxy.fault = weather = Weather(proxy, bigtable_emulator, chance)
    lists = range(KEYS * ROUNDS // LIST)
    uri = "bigtable://test-project/faults?max_age=none&attempt=3s&wait=1m&rows=500"
    with beam.Pipeline(runner=FnApiRunner()) as root:
        results = (
            root
            | beam.Create(list(lists), reshuffle=False)
            | beam.Map(Seen.listed)
            | WriteToBigtable(uri)
        )
        _ = results.failures | beam.Map(Seen.bury)
    dead = Seen.dead
    assert weather.over
    assert weather.killed_at is not None
    expected = last_state(weather.killed_at, dead)
    assert len(expected) == KEYS * 3  # every tile was written after the kill
    assert stored(uri) == expected
    # What was not found is looked for, and written then. A cut can hide another call's fault.
    codes = {code.name for code in LASTING if code is not Code.NOT_FOUND}
    assert set() < {failure.reason.split(": ")[1] for failure in dead} <= codes
    counted = {metric.key.metric.name: metric.committed for metric in counters(root)}
    assert counted[Metric.WRITTEN] + counted[Metric.DEAD_WRITE] == 220_000
    assert counted[Metric.DEAD_WRITE] == len(dead)
    assert counted[Metric.RETRIED] > 1000


def last_state(killed_at: int, dead: list[Failure]) -> dict[tuple[bytes, int], bytes]:
    """What the store must hold: the last write of each tile that is not among the dead letters.

    What was written before the emulator was killed is gone with it.
    """
    buried = {value_of(failure) for failure in dead}
    state: dict[tuple[bytes, int], bytes] = {}
    for number in range(killed_at + 1, KEYS * ROUNDS // LIST):
        for put in puts_of(number):
            if put.value_bytes != b"older" and put.value_bytes not in buried:
                state[put.key_bytes, put.tile_start_ms] = put.value_bytes
    return state


def value_of(failure: Failure) -> bytes:
    assert failure.step == "Write"
    assert failure.source == "FAULTS_STREAMING"
    return base64.b64decode(json.loads(failure.payload)["value_bytes"])


def stored(uri: str) -> dict[tuple[bytes, int], bytes]:
    store = open_store(uri)
    found = {
        (each.key_bytes, each.value.ts_ms): each.value.value_bytes
        for each in store.scan("FAULTS_STREAMING")
    }
    store.close()
    return found


def counters(root: beam.Pipeline) -> Any:
    assert root.result is not None
    return root.result.metrics().query()["counters"]


@pytest.fixture
def store(proxy: BigtableProxy) -> Iterator[KVStore]:
    opened = open_store("bigtable://test-project/faults?max_age=none&attempt=1s&wait=3s")
    opened.create("ONE_STREAMING")
    opened.multi_put([tile("ONE_STREAMING", b"warm", NOON, b"")])
    proxy.calls.clear()
    yield opened
    opened.close()


def three() -> list[PutRequest]:
    return [tile("ONE_STREAMING", key, NOON, b"v") for key in (b"a", b"b", b"c")]


@pytest.mark.parametrize("code", PASSING, ids=lambda code: code.name)
def test_only_what_failed_is_sent_again(
    store: KVStore, proxy: BigtableProxy, code: grpc.StatusCode
) -> None:
    entries = Fault(entries=lambda row: code if b"#b#" in row else None)
    proxy.fault = lambda number, rows: [Fault(code), entries, entries, None][number]
    assert store.multi_put(three()) == [None] * 3
    assert proxy.calls == [3, 3, 1, 1]


@pytest.mark.parametrize("code", LASTING, ids=lambda code: code.name)
def test_what_cannot_pass_is_given_back_at_once(
    store: KVStore, proxy: BigtableProxy, code: grpc.StatusCode
) -> None:
    proxy.fault = lambda number, rows: Fault(entries=lambda row: code if b"#b#" in row else None)
    reasons = store.multi_put(three())
    assert reasons[0] is reasons[2] is None
    assert reasons[1] is not None
    assert reasons[1].startswith(f"Bigtable table GROUPBY_STREAMING: {code.name}: injected")
    # A table that is not found is looked for, and written to again, some times.
    assert proxy.calls == ([3, 1, 1, 1, 1, 1] if code is Code.NOT_FOUND else [3])


def test_table_that_is_there_is_not_said_to_have_been_made(
    store: KVStore, proxy: BigtableProxy, caplog: pytest.LogCaptureFixture
) -> None:
    """Bigtable says NOT_FOUND of an app profile, too."""
    proxy.fault = lambda number, rows: Fault(Code.NOT_FOUND)
    assert all("NOT_FOUND: injected (tried 6 times" in str(r) for r in store.multi_put(three()))
    assert "it is made" not in caplog.text


def test_entry_that_spoils_its_call_is_found(store: KVStore, proxy: BigtableProxy) -> None:
    puts = [tile("ONE_STREAMING", b"%d" % i, NOON, b"v") for i in range(100)]
    proxy.fault = lambda number, rows: (
        Fault(Code.INVALID_ARGUMENT) if any(b"#77#" in row for row in rows) else None
    )
    reasons = store.multi_put(puts)
    assert [index for index, reason in enumerate(reasons) if reason] == [77]
    assert "INVALID_ARGUMENT: injected" in (reasons[77] or "")


def test_doubtful_code_is_given_up_after_some_attempts(
    store: KVStore, proxy: BigtableProxy
) -> None:
    proxy.fault = lambda number, rows: Fault(Code.INTERNAL)
    reasons = store.multi_put(three())
    assert all(reason and "INTERNAL: injected (tried 5 times" in reason for reason in reasons)


def test_store_that_stays_down_is_given_up_after_the_wait(
    store: KVStore, proxy: BigtableProxy
) -> None:
    proxy.fault = lambda number, rows: Fault(Code.UNAVAILABLE)
    reasons = store.multi_put(three())
    assert all(reason and "UNAVAILABLE: injected (tried" in reason for reason in reasons)
    proxy.fault = lambda number, rows: None
    assert store.multi_put(three()) == [None] * 3


def test_call_that_hangs_is_cut_and_made_again(store: KVStore, proxy: BigtableProxy) -> None:
    proxy.fault = lambda number, rows: Fault(delay_s=1.5) if number == 0 else None
    assert store.multi_put(three()) == [None] * 3
    assert proxy.calls == [3, 3]


def test_reads_are_tried_again_too(store: KVStore, proxy: BigtableProxy) -> None:
    store.multi_put(three())
    asked = [GetRequest(key, "ONE_STREAMING", NOON, NOON + 1, HOUR) for key in (b"a", b"b")]
    expected = [[TimedValue(b"v", NOON)]] * 2
    cutting = threading.Thread(target=proxy.cut, args=(0.5,))
    cutting.start()
    while cutting.is_alive():
        assert store.multi_get(asked) == expected
        assert asyncio.run(store.multi_get_async(asked)) == expected


def test_scan_goes_on_where_the_connection_broke(proxy: BigtableProxy) -> None:
    opened = open_store("bigtable://test-project/faults?max_age=none&read_wait=3s")
    puts = [tile("SCANNED_STREAMING", b"%04d" % i, NOON, b"v" * 1000) for i in range(2000)]
    assert opened.multi_put(puts) == [None] * 2000
    found = []
    for each in opened.scan("SCANNED_STREAMING"):
        found.append(each.key_bytes)
        if len(found) in (10, 1000):
            time.sleep(3.1 if len(found) == 10 else 0)  # a reader may take longer than `read_wait`
            proxy.cut()
    assert found == [put.key_bytes for put in puts]
    opened.close()


def test_read_that_fails_leaves_no_call_behind(
    proxy: BigtableProxy, caplog: pytest.LogCaptureFixture
) -> None:
    """Of two calls under way the first fails; nobody looks after the other one."""
    opened = open_store("bigtable://test-project/faults?max_age=none&read_wait=30s&attempt=30s")
    names = ("ONE_STREAMING", "TWO_BATCH")
    opened.multi_put([tile(name, b"a", NOON, b"v") for name in names])
    asked = [GetRequest(b"a", name, NOON, NOON + 1, HOUR) for name in names]
    begun, ended = threading.Event(), threading.Event()

    def fault(request: Any, context: Any) -> None:
        if request.table_name.endswith("GROUPBY_STREAMING"):
            assert begun.wait(20)
            context.abort(Code.PERMISSION_DENIED, "injected")
        context.add_callback(ended.set)
        begun.set()
        ended.wait(20)

    proxy.read_fault = fault
    with pytest.raises(BigtableError, match=r"PERMISSION_DENIED: injected: ask for the role"):
        opened.multi_get(asked)
    assert ended.wait(10)  # long before its deadline
    opened.close()
    assert "hung" not in caplog.text


def test_each_call_names_the_app_profile(proxy: BigtableProxy) -> None:
    opened = open_store("bigtable://test-project/faults?max_age=none&app_profile=batch")
    opened.multi_put(three())
    opened.multi_get([GetRequest(b"a", "ONE_STREAMING", NOON, NOON + 1, HOUR)])
    assert proxy.routed == {
        (method, "batch", f"table_name={TABLE}&app_profile_id=batch")
        for method in ("MutateRows", "ReadRows")
    }
    proxy.routed.clear()
    assert list(opened.scan("ONE_STREAMING"))
    ((_, profile, header),) = proxy.routed
    assert (profile, header[-20:]) == ("batch", "app_profile_id=batch")
    opened.close()


def test_connection_that_breaks_while_fetching_prints_nothing(
    proxy: BigtableProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC's core has a line for it, which says nothing to a user."""
    monkeypatch.delenv("GRPC_VERBOSITY", raising=False)
    cuts: list[threading.Thread] = []

    def fault(request: Any, context: Any) -> None:
        if len(cuts) < 4:
            cuts.append(threading.Thread(target=proxy.cut))
            cuts[-1].start()
            time.sleep(1)  # the call is cancelled with its connection, and not ended before

    proxy.read_fault = fault
    shop = Path(__file__).parents[2] / "examples" / "ice_cream" / "group_by.py"
    command = [sys.executable, "-m", "chronon_beam.pipeline", "fetch", f"--group_by={shop}"]
    flags = ["--store=bigtable://test-project/nothing?read_wait=30s", "--key=customer_id=Alice"]
    ran = subprocess.run([*command, *flags], capture_output=True, text=True, timeout=600)
    for thread in cuts:
        thread.join()
    assert ran.returncode == 2
    (line,) = ran.stderr.splitlines()
    assert line.startswith("chronon-beam: the store holds nothing of GroupBy")
