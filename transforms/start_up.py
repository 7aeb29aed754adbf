"""Keeps what a worker loads at its start out of Python's garbage collection."""

import functools
import gc


@functools.cache
def freeze_start_up() -> None:
    """Exempt all objects that exist now from garbage collection; does so once per process.

    Beam, Spark's client and Arrow are 150,000 objects that exist as long as the worker. Each full
    collection visits all of them, and the events of a bundle wait for it: about 0.1 s. Call this
    when the worker is ready for its first batch.
    """
    gc.collect()  # else objects that are garbage by now would never be freed
    gc.freeze()
