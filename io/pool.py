"""Keeps open the sessions of live readers in a worker process, from one bundle to the next."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Generic, Protocol, TypeVar


class Closeable(Protocol):
    """An object with connections."""

    def close(self) -> None:
        """Close the connections."""


S = TypeVar("S", bound=Closeable)

Key = tuple[str, Hashable]
"""The Beam step that reads, and which of its readers."""


class Pool(Generic[S]):
    """The sessions that no bundle is using; a session is used by one bundle at a time.

    A runner may give the bundles of a reader to several copies of its DoFn. Each copy finds the
    reader's session here, with what it has fetched ahead.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._free: dict[Key, S] = {}

    @contextmanager
    def session(self, key: Key, make: Callable[[], S]) -> Iterator[S]:
        """The session of a reader, made by `make` if there is none; closed if the bundle fails."""
        with self._lock:
            session = self._free.pop(key, None)
        session = session or make()
        try:
            yield session
        except BaseException:
            session.close()
            raise
        with self._lock:
            other = self._free.setdefault(key, session)
        if other is not session:  # left by another attempt at the same bundle
            session.close()

    def close(self, step: str) -> None:
        """Close the sessions of a step."""
        with self._lock:
            left = [self._free.pop(key) for key in list(self._free) if key[0] == step]
        for session in left:
            session.close()
