"""Waits for facts, and not for seconds."""

import time
from collections.abc import Callable

WITHIN_S = 900.0
"""Long enough for a machine whose cores are shared with fifty other processes."""


def eventually(reached: Callable[[], bool], within_s: float = WITHIN_S) -> bool:
    """Whether a fact is so in the end; asked again and again."""
    deadline = time.monotonic() + within_s
    while not reached():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.3)
    return True
