"""Writes the JSON lines that commands print."""

import base64
import json
import math


def to_json(value: object) -> str:
    """`value` as JSON on one line.

    Values that JSON does not have are written as null (NaN and infinities), base64 (bytes) or text
    (dates, decimals and so on).

    >>> to_json({"price": float("nan"), "raw": b"ab"})
    '{"price": null, "raw": "YWI="}'
    """
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value if value is None or isinstance(value, (str, int)) else str(value)
