"""The columns that a sample of JSON objects has."""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import pyarrow as pa

from chronon_beam.api.formats.exact_json import exact_value


def infer_schema(objects: Iterable[bytes]) -> pa.Schema:
    """The schema that most of the `objects` fit; texts that are not JSON objects do not count.

    Numbers have the types that Spark infers. A field of whole numbers is BIGINT, or DECIMAL if a
    number needs more than 64 bits and none needs more than 38 digits. A field in which a number has
    a fraction is DOUBLE. A field that is always null is STRING. If the values of a field differ in
    kind, the most frequent kind wins, so one odd event becomes a dead letter and does not change
    the schema.

    >>> infer_schema([b'{"a": 1}', b'{"a": 2.5, "b": [null, "x"]}']).field("b").type
    ListType(list<item: string>)
    """
    parsed = [each for each in map(_parsed, objects) if type(each) is dict]
    return pa.schema([(name, _type_of(values)) for name, values in _fields(parsed).items()])


def _parsed(text: bytes) -> Any:
    try:
        return exact_value(text)
    except ValueError:
        return None


def _fields(objects: list[dict[str, Any]]) -> dict[str, list[Any]]:
    fields: dict[str, list[Any]] = {}
    for each in objects:
        for name, value in each.items():
            fields.setdefault(name, []).append(value)
    return fields


def _type_of(values: list[Any]) -> pa.DataType:
    present = [each for each in values if each is not None]
    kinds = Counter(_KINDS[type(each)] for each in present)
    if not kinds:
        return pa.string()
    kind = kinds.most_common(1)[0][0]
    same = [each for each in present if _KINDS[type(each)] == kind]
    match kind:
        case "number":
            return _number_type(same)
        case "array":
            return pa.list_(_type_of([item for each in same for item in each]))
        case "object":
            fields = [(name, _type_of(inner)) for name, inner in _fields(same).items()]
            return pa.struct(fields) if fields else pa.map_(pa.string(), pa.string())
    return pa.bool_() if kind == "boolean" else pa.string()


def _number_type(numbers: list[int | Decimal]) -> pa.DataType:
    if not all(type(each) is int for each in numbers):
        return pa.float64()
    if all(-(2**63) <= each < 2**63 for each in numbers):
        return pa.int64()
    digits = max(_BIGINT_DIGITS, *(len(str(abs(each))) for each in numbers))
    return pa.decimal128(digits, 0) if digits <= _DECIMAL_DIGITS else pa.float64()


_BIGINT_DIGITS, _DECIMAL_DIGITS = 20, 38
"""The digits of the DECIMAL that can hold any BIGINT, and of the longest DECIMAL."""

_KINDS: dict[type, str] = {
    bool: "boolean",
    int: "number",
    Decimal: "number",
    str: "string",
    list: "array",
    dict: "object",
}
