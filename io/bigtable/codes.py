"""What Bigtable's answers mean for a writer: which errors pass, and how long to pause for them."""

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
"""They say that the store cannot now: tried again until the deadline."""

DOUBTFUL = frozenset(code.value[0] for code in (_Code.INTERNAL, _Code.UNKNOWN))
"""A broken connection looks like that, and so does a request that will never do."""

DOUBTFUL_ATTEMPTS = 5
"""How often a doubtful one is tried."""

OF_ONE_ENTRY = frozenset(
    code.value[0]
    for code in (
        _Code.INVALID_ARGUMENT,
        _Code.FAILED_PRECONDITION,
        _Code.OUT_OF_RANGE,
        _Code.ALREADY_EXISTS,
    )
)
"""As the outcome of a whole call: one of its entries is to blame, and the others are sound."""

EXHAUSTED: int = _Code.RESOURCE_EXHAUSTED.value[0]
NOT_FOUND: int = _Code.NOT_FOUND.value[0]
UNKNOWN: int = _Code.UNKNOWN.value[0]
DENIED: int = _Code.PERMISSION_DENIED.value[0]
UNAUTHENTICATED: int = _Code.UNAUTHENTICATED.value[0]

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0


class Status(NamedTuple):
    """How it went for one entry."""

    code: int
    message: str

    def __str__(self) -> str:
        return f"{_NAMES.get(self.code, self.code)}: {self.message}"


def status_of(error: grpc.RpcError) -> Status:
    """The status that a failed call has given."""
    code = error.code() or _Code.UNKNOWN
    return Status(code.value[0], error.details() or "")


def may_pass(status: Status, attempts: int) -> bool:
    """Whether an entry that failed so, `attempts` times by now, is tried again."""
    if status.code in DOUBTFUL:
        return attempts < DOUBTFUL_ATTEMPTS
    return status.code in WAITED_FOR


def pause_s(round_number: int, chance: Callable[[], float] = random.random) -> float:
    """Before the next attempt, after `round_number` failed ones: longer each time, and by chance.

    Workers that failed together must not come back together.
    """
    longest = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(round_number, 10))
    return longest * (0.1 + 0.9 * chance())
