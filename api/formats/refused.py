"""Columns that a source has and nobody can read: they stop a job only if its query names them."""

import pyarrow as pa

_KEY = b"chronon_beam.refused"


def refused(name: str, reason: str) -> pa.Field:
    """A column that stands in a schema for one that cannot be read.

    Args:
        name: of the column.
        reason: one sentence that completes "column `name` cannot be read: ...".
    """
    return pa.field(name, pa.null(), metadata={_KEY: reason.encode()})


def refusal(field: pa.Field) -> str | None:
    """Why the column cannot be read; None if it can.

    >>> refusal(refused("next", "record Node holds itself"))
    'record Node holds itself'
    >>> refusal(pa.field("n", pa.int64()))
    """
    reason = (field.metadata or {}).get(_KEY)
    return None if reason is None else reason.decode()
