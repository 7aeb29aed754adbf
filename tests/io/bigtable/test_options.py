"""What a bigtable: URI says."""

import sys

import pytest

from chronon_beam.io.bigtable.options import DAY_MS, BigtableOptions, bigtable_options
from chronon_beam.io.kv_store import open_store


def test_uri_gives_the_options() -> None:
    uri = (
        "bigtable://shop-1/features?app_profile=batch_writer&max_age=90d&wait=1h&attempt=5s"
        "&read_wait=500ms&rows=100&bytes=1000&age=50ms&in_flight=2"
    )
    assert bigtable_options(uri) == BigtableOptions(
        "shop-1", "features", "batch_writer", 90 * DAY_MS, 3_600_000, 5000, 500, 100, 1000, 50, 2
    )
    assert bigtable_options("bigtable://p/i?max_age=none").max_age_ms is None
    assert bigtable_options("bigtable://example.com:shop/i").name == (
        "projects/example.com:shop/instances/i"
    )


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("bigtable:p/i", "names no project and instance: write for example bigtable://"),
        ("bigtable://p", "names no project and instance"),
        ("bigtable://p/i/t", "names no project and instance"),
        ("bigtable://P/i", "names no project and instance: 'P' is no id: small letters"),
        ("bigtable://p/my_instance", "'my_instance' is no id"),
        ("bigtable://p/i?app_profle=x", "did you mean 'app_profile'"),
        ("bigtable://p/i?app_profile=a b", "app profile's id is expected"),
        ("bigtable://p/i?wait=10", "no length of time: write for example 200ms, 10m or 5d"),
        ("bigtable://p/i?wait=0s", "more than nothing"),
        ("bigtable://p/i?rows=0", "1 to 50000 is expected"),
        ("bigtable://p/i?in_flight=x", "1 to 1000 is expected"),
    ],
)
def test_bad_uris_are_refused_with_a_remedy(uri: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bigtable_options(uri)


def test_missing_client_library_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        sys.modules, "chronon_beam.io.bigtable.bigtable_store", None
    )  # as if it could not load
    with pytest.raises(ImportError, match=r"missing .*pip install 'chronon-beam\[bigtable\]'"):
        open_store("bigtable://p/i")
