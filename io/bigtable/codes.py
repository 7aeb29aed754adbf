"""The codes of Bigtable's answers: which errors may pass, and how long to pause after them."""

import random
from collections.abc import Callable
from typing import NamedTuple

import grpc

_Code = grpc.StatusCode

_NAMES = {code.value[0]: code.name for code in _Code}

WAITED_FOR = frozenset(
    code.value[0]
    for code in (
        _Code.UNAVAILABLE,
        _Code.DEADLINE_EXCEEDED,
        _Code.ABORTED,
        _Code.CANCELLED,
        _Code.RESOURCE_EXHAUSTED,
    )
)
"""Codes of a store that cannot answer now: the entry is sent again until the deadline."""

AMBIGUOUS = frozenset(code.value[0] for code in (_Code.INTERNAL, _Code.UNKNOWN))
"""Codes of a broken connection, and also of a request that fails each time."""

AMBIGUOUS_ATTEMPTS = 5
"""How often an entry is sent if each answer is an ambiguous code."""

OF_ONE_ENTRY = frozenset(
    code.value[0]
    for code in (
        _Code.INVALID_ARGUMENT,
        _Code.FAILED_PRECONDITION,
        _Code.OUT_OF_RANGE,
        _Code.ALREADY_EXISTS,
    )
)
"""Codes of a whole call that failed because of one of its entries."""

EXHAUSTED: int = _Code.RESOURCE_EXHAUSTED.value[0]
NOT_FOUND: int = _Code.NOT_FOUND.value[0]
UNKNOWN: int = _Code.UNKNOWN.value[0]
DENIED: int = _Code.PERMISSION_DENIED.value[0]
UNAUTHENTICATED: int = _Code.UNAUTHENTICATED.value[0]

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0


class Status(NamedTuple):
    """The result of one entry."""

    code: int
    message: str

    def __str__(self) -> str:
        return f"{_NAMES.get(self.code, self.code)}: {self.message}"


def status_of(error: grpc.RpcError) -> Status:
    """The status of a failed call."""
    code = error.code() or _Code.UNKNOWN
    return Status(code.value[0], error.details() or "")


def may_pass(status: Status, attempts: int) -> bool:
    """Whether to send an entry again that has failed `attempts` times, now with `status`."""
    if status.code in AMBIGUOUS:
        return attempts < AMBIGUOUS_ATTEMPTS
    return status.code in WAITED_FOR


def pause_s(round_number: int, chance: Callable[[], float] = random.random) -> float:
    """How long to wait after `round_number` failed attempts: longer each time, and random.

    Random, so that workers that failed together do not all send again at one moment.
    """
    longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(round_number, 10))
    return longest * (0.1 + 0.9 * chance())
