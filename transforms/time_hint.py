"""The remedy for a time column that is not a number of milliseconds."""

import pyarrow as pa


def time_hint(kind: pa.DataType, expression: str) -> str:
    """The Spark SQL that makes milliseconds since the epoch of a column of type `kind`.

    >>> time_hint(pa.timestamp("us", "UTC"), "created")
    'write unix_millis(created)'
    >>> time_hint(pa.string(), "created")
    'write unix_millis(CAST(created AS TIMESTAMP)) if it is a date and time, or CAST(created AS \
BIGINT) if it is a number of milliseconds'
    """
    from_timestamp = f"unix_millis(CAST({expression} AS TIMESTAMP))"
    from_number = f"CAST({expression} AS BIGINT)"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return (
            f"write {from_timestamp} if it is a date and time, or {from_number} if it is a number "
            "of milliseconds"
        )
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return f"write unix_millis({expression})"
    if pa.types.is_temporal(kind):
        return f"write {from_timestamp}"
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return f"write {from_number}"
    return "choose another column, or one of its fields"
