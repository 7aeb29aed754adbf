"""Sessions of this process that no bundle is using just now."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from chronon_beam.io.kafka.changes import Readers
from chronon_beam.io.kafka.session import Session

Key = tuple[str, Readers]
"""The step that reads, and which of its readers."""


class Pool:
    """Keeps sessions between bundles; each is used by one bundle at a time.

    A runner may give the bundles of a reader to several copies of its step. They find the session
    here, with what the consumer has fetched ahead.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._free: dict[Key, Session] = {}

    @contextmanager
    def session(self, key: Key, make: Callable[[], Session]) -> Iterator[Session]:
        """The session of a reader, new if there is none; closed if the bundle fails."""
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
        if other is not session:  # another attempt at the same bundle
            session.close()

    def close(self, step: str) -> None:
        """Close what a step has left."""
        with self._lock:
            left = [self._free.pop(key) for key in list(self._free) if key[0] == step]
        for session in left:
            session.close()
