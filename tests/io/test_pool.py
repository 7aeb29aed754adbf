"""A reader's session is used by one bundle at a time, and is closed if that bundle fails."""

import pytest

from chronon_beam.io.pool import Pool

KEY = ("step", 0)


class Connection:
    closed = False

    def close(self) -> None:
        self.closed = True


def test_the_next_bundle_finds_the_session_of_the_last() -> None:
    pool: Pool[Connection] = Pool()
    with pool.session(KEY, Connection) as first:
        pass
    with pool.session(KEY, Connection) as second:
        assert second is first
    with pool.session(("step", 1), Connection) as other:
        assert other is not first
    assert not first.closed


def test_a_bundle_that_fails_takes_its_session_with_it() -> None:
    pool: Pool[Connection] = Pool()
    with pytest.raises(RuntimeError), pool.session(KEY, Connection) as first:
        raise RuntimeError
    assert first.closed
    with pool.session(KEY, Connection) as second:
        assert second is not first


def test_two_attempts_at_once_have_a_session_each_and_one_is_kept() -> None:
    pool: Pool[Connection] = Pool()
    with pool.session(KEY, Connection) as first, pool.session(KEY, Connection) as second:
        assert second is not first
    assert first.closed
    assert not second.closed


def test_a_step_that_ends_closes_its_own() -> None:
    pool: Pool[Connection] = Pool()
    with pool.session(KEY, Connection) as ours, pool.session(("b", 0), Connection) as others:
        pass
    pool.close("step")
    assert ours.closed
    assert not others.closed
