"""A reader's session is used by one bundle at a time, and goes with the bundle that fails."""

from typing import Any, cast

import pytest

from chronon_beam.io.kafka.changes import Readers
from chronon_beam.io.kafka.pool import Pool
from chronon_beam.io.kafka.session import Session

KEY = ("step", Readers(0, 1))


class Connection:
    closed = False

    def close(self) -> None:
        self.closed = True


def made() -> Session:
    return cast(Session, Connection())


def is_closed(session: Any) -> bool:
    return session.closed


def test_the_next_bundle_finds_the_session_of_the_last() -> None:
    pool = Pool()
    with pool.session(KEY, made) as first:
        pass
    with pool.session(KEY, made) as second:
        assert second is first
    with pool.session(("step", Readers(1, 2)), made) as other:
        assert other is not first
    assert not is_closed(first)


def test_a_bundle_that_fails_takes_its_session_with_it() -> None:
    pool = Pool()
    with pytest.raises(RuntimeError), pool.session(KEY, made) as first:
        raise RuntimeError
    assert is_closed(first)
    with pool.session(KEY, made) as second:
        assert second is not first


def test_two_attempts_at_once_have_a_session_each_and_one_is_kept() -> None:
    pool = Pool()
    with pool.session(KEY, made) as first, pool.session(KEY, made) as second:
        assert second is not first
    assert is_closed(first)
    assert not is_closed(second)


def test_a_step_that_ends_closes_its_own() -> None:
    pool = Pool()
    with pool.session(KEY, made) as ours, pool.session(("b", Readers(0, 1)), made) as others:
        pass
    pool.close("step")
    assert is_closed(ours)
    assert not is_closed(others)
