"""What a job counts: every stage is told where to.

The names are `messages` read, `rows` evaluated and events `filtered` out, `tiles` made and `late`
events; of an upload rows `outside` of all windows and `values` made; requests `written` and
`retried`; and of every stage the `dead`.
"""

from collections.abc import Callable

Count = Callable[[str, int], None]
"""Takes a name and how many more there are of it; called once a batch, in a worker."""


def uncounted(name: str, number: int) -> None:
    """For a stage that stands alone: no count is kept."""
