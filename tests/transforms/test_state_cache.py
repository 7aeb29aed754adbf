"""Beam's cache of state weighs values as before, without a pass over all modules."""

import pytest
from apache_beam.runners.worker import statecache
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.transforms.state_cache import measure_values_alone

beams_own = statecache.get_deep_size


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statecache, "get_deep_size", beams_own)
    measure_values_alone()


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_bytes_weigh_what_beam_says(blobs: list[bytes]) -> None:
    assert statecache.get_deep_size is not beams_own
    assert statecache.get_deep_size(blobs) == beams_own(blobs)


def test_no_module_is_visited(monkeypatch: pytest.MonkeyPatch) -> None:
    def visited() -> None:
        pytest.fail("the globals of all modules were collected")

    monkeypatch.setattr("objsize.traverse._iter_modules_globals", visited)
    cache = statecache.StateCache(1 << 20)
    cache.put("key", [b"value"])
    assert cache.peek("key") == [b"value"]
    with pytest.raises(pytest.fail.Exception):
        beams_own([b"value"])
