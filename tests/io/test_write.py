"""Writes to a store: retries, dead letters, and how requests are collected."""

import base64
import json
from typing import ClassVar

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows

from chronon_beam.aggregator.codecs import COMPLETE
from chronon_beam.api.counts import Metric
from chronon_beam.api.records import Failure, Form, PutRequest
from chronon_beam.io import kv_store
from chronon_beam.io.kv_store import Bounds, MemoryStore, open_store
from chronon_beam.io.write import Pending, Write, newest_age_ms, request_failure, write_all


def put(number: int, dataset: str = "D") -> PutRequest:
    return PutRequest(b"k%d" % number, b"\xff", dataset, 7, 5, 5)


class Flaky(MemoryStore):
    """Refuses each key as many times as it says; key `raise` breaks the connection."""

    def __init__(self, refusals: dict[bytes, int]) -> None:
        super().__init__("flaky")
        self.refusals = dict(refusals)

    def multi_put(self, requests):
        results = [self._one(each) for each in requests]
        super().multi_put([r for r, reason in zip(requests, results, strict=True) if not reason])
        return results

    def _one(self, request):
        left = self.refusals.get(request.key_bytes, 0)
        self.refusals[request.key_bytes] = left - 1
        if left > 0 and request.key_bytes == b"raise":
            raise ConnectionError("connection lost")
        return "no room" if left > 0 else None


@pytest.fixture(autouse=True)
def _no_leftovers():
    yield
    for name in ("flaky", "written"):
        MemoryStore.forget(name)


def test_only_what_failed_is_written_again_after_a_pause():
    pauses: list[float] = []
    store = Flaky({b"k1": 1, b"k2": 2, b"k3": 3})
    failed, retried = write_all(store, [put(i) for i in range(4)], sleep=pauses.append)
    assert failed == {3: "no room"}
    assert retried == 5
    assert pauses == [0.1, 0.4]
    assert [each.key_bytes for each in store.scan("D")] == [b"k0", b"k1", b"k2"]


def test_batch_that_breaks_the_client_is_written_again_as_a_whole():
    pauses: list[float] = []
    broken = put(1)._replace(key_bytes=b"raise")
    failed, _ = write_all(Flaky({b"raise": 1}), [put(1), broken], sleep=pauses.append)
    assert failed == {}
    failed, _ = write_all(Flaky({b"raise": 9}), [put(1), broken], sleep=pauses.append)
    assert failed == dict.fromkeys((0, 1), "ConnectionError: connection lost")


def test_nothing_to_write_and_success_do_not_pause():
    def never(seconds: float) -> None:
        raise AssertionError(seconds)

    assert write_all(Flaky({}), [put(1)], sleep=never) == ({}, 0)


def test_failure_of_a_request_holds_all_that_is_needed_to_write_it():
    failure = request_failure(put(1), "no room")
    known = Failure("Write", "no room", b"", "D", -1, Form.REQUEST, event_time_ms=put(1).ts_ms)
    assert failure._replace(payload=b"") == known
    payload = json.loads(failure.payload)
    for name in ("key_bytes", "value_bytes"):
        payload[name] = base64.b64decode(payload[name])
    assert PutRequest(**payload) == put(1)


def open_flaky(uri: str) -> Flaky:
    return Flaky({b"k1": 9, b"k2": 1})


def run(uri: str, batches: list[list[PutRequest]], written: list[int], failed: list[bytes]) -> dict:
    with beam.Pipeline(runner=FnApiRunner()) as root:
        responses = root | beam.Create(batches, reshuffle=False) | Write(uri, "D")
        assert_that(responses.written, equal_to(written))
        keys = responses.failures | beam.Map(lambda each: json.loads(each.payload)["key_bytes"])
        assert_that(keys, equal_to([base64.b64encode(key).decode() for key in failed]), "failures")
    counters = root.result.metrics().query()["counters"]
    return {each.key.metric.name: each.committed for each in counters}


def test_pipeline_writes_and_counts():
    counters = run("memory:written", [[put(1), put(2)], [], [put(3)]], [2, 0, 1], [])
    assert counters == {Metric.WRITTEN: 3, Metric.WRITTEN_BYTES: 3}
    assert len(list(open_store("memory:written").scan("D"))) == 3


def test_pipeline_dead_letters_what_keeps_failing(monkeypatch):
    monkeypatch.setitem(kv_store.BUILT_IN, "flaky", f"{__name__}:open_flaky")
    counters = run("flaky:", [[put(0), put(1), put(2)]], [2], [b"k1"])
    counts = {Metric.WRITTEN: 2, Metric.RETRIED: 3, Metric.DEAD_WRITE: 1}
    assert counters == {**counts, Metric.WRITTEN_BYTES: 3}


def test_dataset_is_made_even_when_nothing_is_written(tmp_path):
    run(f"sqlite:{tmp_path}/s.db", [[]], [0], [])
    assert list(open_store(f"sqlite:{tmp_path}/s.db").scan("D")) == []
    assert (tmp_path / "s.db").exists()


def test_requests_wait_for_rows_bytes_or_age_whichever_comes_first():
    now_s = [0.0]
    pending = Pending(Bounds(rows=4, bytes=6, age_ms=200), lambda: now_s[0])
    assert [pending.add([put(i)]) for i in range(4)] == [False, False, False, True]
    assert pending.take() == [put(i) for i in range(4)]
    assert not pending.add([put(1)])
    assert pending.add([put(2)._replace(value_bytes=b"12345")])
    pending.take()
    now_s[0] = 5.0
    assert not pending.add([put(1)])
    now_s[0] = 5.3
    assert pending.add([put(2)])


def test_age_is_that_of_the_newest_event_unless_its_tile_closes() -> None:
    old, new = put(1), put(2)._replace(ts_ms=9)
    assert newest_age_ms([old, new, old], 12) == 3
    assert newest_age_ms([old, new._replace(value_bytes=b"\xff" + COMPLETE)], 12) is None
    assert newest_age_ms([old._replace(value_bytes=b"\xff" + COMPLETE), new], 12) == 3
    row = new._replace(value_bytes=COMPLETE, tile_size_ms=0)
    assert newest_age_ms([row], 12) == 3
    assert newest_age_ms([new._replace(ts_ms=20)], 12) == 0


class Collecting(Flaky):
    """Wants three requests at a time, and tries again by itself."""

    bounds = Bounds(rows=3, bytes=1 << 20, age_ms=3_600_000)
    tries_again = True
    batches: ClassVar[list[int]] = []

    def multi_put(self, requests):
        self.batches.append(len(requests))
        return super().multi_put(requests)


def test_bundle_collects_as_the_store_wishes_and_ends_with_all_written(monkeypatch):
    monkeypatch.setitem(kv_store.BUILT_IN, "collecting", f"{__name__}:open_collecting")
    Collecting.batches.clear()
    elements = [put(0), [put(1), put(2)], [put(3)], put(4)]
    with beam.Pipeline(runner=FnApiRunner()) as root:
        requests = root | beam.Create(elements, reshuffle=False) | beam.WindowInto(FixedWindows(1))
        responses = requests | Write("collecting:")
        assert_that(responses.written, equal_to([2, 2]))
        positions = responses.failures | beam.Map(lambda each: each.source)
        assert_that(positions, equal_to(["D"]), "failures")
    assert Collecting.batches == [3, 2]


def open_collecting(uri: str) -> Collecting:
    return Collecting({b"k1": 9})


class Down(Collecting):
    """Cannot be reached when a worker starts."""

    def create(self, dataset):
        raise ConnectionError("instance is down")


def test_worker_starts_while_a_store_that_is_waited_for_is_down(monkeypatch):
    monkeypatch.setitem(kv_store.BUILT_IN, "flaky", f"{__name__}:open_down")
    counters = run("flaky:", [[put(1), put(2)]], [2], [])
    assert counters == {Metric.WRITTEN: 2, Metric.WRITTEN_BYTES: 2}
    monkeypatch.setattr(Down, "tries_again", False)
    with pytest.raises(ConnectionError, match="instance is down"):
        run("flaky:", [[put(1), put(2)]], [2], [])


def open_down(uri: str) -> Down:
    return Down({})
