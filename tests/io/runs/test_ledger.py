"""The ledger in a store, and the lease of the run that writes."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.io.kv_store import KVStore, MemoryStore, open_store
from chronon_beam.io.runs import lease
from chronon_beam.io.runs.lease import EXPIRES_MS, DatasetInUse, Holder, Lease, holder, require_free
from chronon_beam.io.runs.ledger import LEASE_KEY, LEDGER, Ledger, LedgerNotWritten, Run, State, put
from chronon_beam.io.units import Unit

NAME = "T_STREAMING"
UNITS = st.builds(Unit, st.text(max_size=5), st.integers(0), st.integers(0), st.text(max_size=5))


@given(
    st.builds(
        Run,
        st.text(max_size=5),
        st.text(max_size=5),
        st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2),
        st.sampled_from(State),
        st.booleans(),
        st.lists(UNITS, max_size=3).map(tuple),
        st.booleans(),
        st.frozensets(st.text(max_size=3), max_size=3),
    )
)
def test_a_run_is_read_back_as_it_was_noted(run: Run) -> None:
    assert Run.from_bytes(run.to_bytes()) == run


@pytest.fixture
def store(tmp_path: Path) -> KVStore:
    return open_store(f"sqlite:{tmp_path / 'f.db'}")


def test_runs_come_by_their_begin_without_those_that_are_replaced(store: KVStore) -> None:
    ledger = Ledger(store, NAME)
    assert ledger.runs() == []
    first = Run("1", "g", {})
    ledger.put(replace(first, id="3", replaces=frozenset({"2"})))
    ledger.put(first)
    ledger.put(replace(first, id="2"))
    ledger.finish(first)
    put(store, LEDGER.format(NAME), LEASE_KEY, b"[]")
    assert [(run.id, run.state) for run in ledger.runs()] == [
        ("1", State.FINISHED),
        ("3", State.STARTED),
    ]


def test_a_store_that_does_not_take_the_ledger_is_an_error() -> None:
    class Full(MemoryStore):
        def multi_put(self, requests: list[object]) -> list[str | None]:
            return ["disk full"] * len(requests)

    with pytest.raises(LedgerNotWritten, match="T_STREAMING_RUNS cannot be written: disk full"):
        Ledger(Full("full"), NAME).put(Run("1", "g", {}))


def test_one_run_at_a_time_holds_the_lease(store: KVStore) -> None:
    require_free(store, NAME)
    with Lease(store, NAME, "r1"):
        with pytest.raises(DatasetInUse, match=rf"run r1 \(process {os.getpid()} on .* wait"):
            require_free(store, NAME)
        with pytest.raises(DatasetInUse), Lease(store, NAME, "r2"):
            pytest.fail("a second run holds the lease")
        with Lease(store, "OTHER_STREAMING", "r3"):
            pass
    with Lease(store, NAME, "r4"):
        assert holder(store, NAME).run == "r4"


def test_a_lease_is_free_when_its_process_is_gone_or_has_not_renewed_it(store: KVStore) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    now_ms = int(time.time() * 1000)
    here, there = os.uname().nodename, "another-host"
    for host, process, age_ms, alive in (
        (here, child.pid, 0, False),
        (here, os.getpid(), 0, True),
        (here, os.getpid(), EXPIRES_MS + 1, False),
        (there, child.pid, 1000, True),
        (there, child.pid, EXPIRES_MS + 1, False),
    ):
        noted = Holder("r", host, process, now_ms - age_ms)
        assert noted.is_alive(now_ms) is alive
        put(store, LEDGER.format(NAME), LEASE_KEY, json.dumps(noted).encode())
        assert holder(store, NAME) == noted


def test_a_lease_is_renewed_while_it_is_held(
    store: KVStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEWED_S", 0.01)
    with Lease(store, NAME, "r"):
        first_ms = holder(store, NAME).renewed_ms
        while holder(store, NAME).renewed_ms == first_ms:
            time.sleep(0.01)
    assert holder(store, NAME).renewed_ms == 0


def test_of_two_that_take_the_lease_at_one_moment_the_last_has_it(
    store: KVStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_writes(_: float) -> None:
        noted = Holder("r2", "another-host", 1, int(time.time() * 1000))
        put(store, LEDGER.format(NAME), LEASE_KEY, json.dumps(noted).encode())

    monkeypatch.setattr(lease.time, "sleep", other_writes)
    with pytest.raises(DatasetInUse, match="run r2 began at the same moment"):
        Lease(store, NAME, "r1").__enter__()
