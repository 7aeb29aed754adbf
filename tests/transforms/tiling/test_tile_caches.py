"""The tiles in memory: a bundle that is blocked does not block other bundles."""

from chronon_beam.transforms.tiling.tile_caches import TileCaches, WindowKey

KEY = WindowKey("step", b"0", 0)


def test_tiles_are_back_for_the_next_bundle() -> None:
    caches = TileCaches()
    with caches.using(KEY, object) as first:  # type: ignore[arg-type]
        pass
    with caches.using(KEY, object) as second:  # type: ignore[arg-type]
        assert second is first


def test_a_bundle_that_waits_for_its_state_holds_up_no_other() -> None:
    caches = TileCaches()
    with (
        caches.using(KEY, object) as waiting,  # type: ignore[arg-type]
        caches.using(KEY, object) as next_attempt,  # type: ignore[arg-type]
    ):
        assert next_attempt is not waiting


def test_tiles_of_a_bundle_that_failed_are_not_used_again() -> None:
    caches = TileCaches()
    failing = caches.using(KEY, object)  # type: ignore[arg-type]
    failed = failing.__enter__()
    error = ValueError("broken")
    assert not failing.__exit__(ValueError, error, None)
    with caches.using(KEY, object) as next_attempt:  # type: ignore[arg-type]
        assert next_attempt is not failed
