"""How much of a live log goes into one Messages."""

from collections.abc import Sequence

ROWS = 1000
"""The most messages per Messages."""

BYTES = 4 << 20
"""The most bytes of payload per Messages, unless one message alone has more."""


def cuts(sizes: Sequence[int], most: int = BYTES) -> list[tuple[int, int]]:
    """Where to cut messages so that each part has at most `most` bytes, unless one alone has more.

    >>> cuts([3, 3, 9, 1], 6)
    [(0, 2), (2, 3), (3, 4)]
    """
    if sum(sizes) <= most:
        return [(0, len(sizes))] if sizes else []
    found, start, held = [], 0, 0
    for index, size in enumerate(sizes):
        if index > start and held + size > most:
            found.append((start, index))
            start, held = index, 0
        held += size
    return [*found, (start, len(sizes))]
