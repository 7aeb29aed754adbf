"""Keys of JSON, cast to the types of a GroupBy's keys."""

from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.api.data_types import (
    BINARY,
    BOOLEAN,
    BYTE,
    DOUBLE,
    FLOAT,
    INT,
    LONG,
    SHORT,
    STRING,
    DataType,
    decimal_of,
)
from chronon_beam.fetcher.key_cast import KeyCastError, cast_key

PRICE = decimal_of(8, 2)

CAST = [
    (LONG, "5", 5),
    (LONG, "-9223372036854775808", -(2**63)),
    (LONG, "+5", 5),
    (LONG, 5.0, 5),
    (INT, "5", 5),
    (SHORT, 5, 5),
    (BYTE, "-7", -7),
    (DOUBLE, 5, 5.0),
    (DOUBLE, "5.25", 5.25),
    (FLOAT, "1e3", 1000.0),
    (STRING, 5, "5"),
    (STRING, 5.0, "5.0"),
    (STRING, 3.2655916504362354e11, "3.2655916504362354E11"),
    (STRING, True, "true"),
    (STRING, "Ann", "Ann"),
    (BOOLEAN, True, True),
    (BINARY, "Ann", b"Ann"),
    (PRICE, "1.25", Decimal("1.25")),
    (PRICE, 1.25, Decimal("1.25")),
    (PRICE, 1, Decimal(1)),
    (LONG, None, None),
]
REFUSED = [
    (LONG, 5.7),
    (LONG, "5.0"),
    (LONG, " 5"),
    (LONG, "5_0"),
    (LONG, ""),
    (LONG, "٥"),
    (LONG, True),
    (LONG, [5]),
    (LONG, {"a": 5}),
    (LONG, "9" * 5_000),
    (LONG, 2.0**63),
    (DOUBLE, "nan"),
    (DOUBLE, "five"),
    (DOUBLE, False),
    (STRING, 2.0**64),
    (STRING, ["Ann"]),
    (BOOLEAN, "true"),
    (BOOLEAN, 1),
    (BINARY, 5),
    (PRICE, "1.x"),
    (PRICE, True),
    (PRICE, "1" * 500),
]


@pytest.mark.parametrize(("data_type", "value", "made"), CAST)
def test_value_is_cast(data_type: DataType, value: object, made: object) -> None:
    found = cast_key({"further": 1, "k": value}, {"k": data_type})
    assert found == {"k": made}
    assert type(found["k"]) is type(made)


@pytest.mark.parametrize(("data_type", "value"), REFUSED)
def test_value_of_another_type_is_refused_with_its_beginning(
    data_type: DataType, value: object
) -> None:
    with pytest.raises(KeyCastError, match=f"^key column k: .*of type {data_type.name}") as refused:
        cast_key({"k": value}, {"k": data_type})
    assert len(str(refused.value)) < 100


def test_missing_column_is_refused() -> None:
    with pytest.raises(KeyCastError, match="key column shop is missing"):
        cast_key({"user": "Ann"}, {"user": STRING, "shop": INT})


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
ANY = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
TYPES = st.sampled_from([kind for kind, _ in REFUSED])
NATIVE = {LONG: int, DOUBLE: float, STRING: str, BOOLEAN: bool, BINARY: bytes, PRICE: Decimal}


@given(value=ANY, data_type=TYPES)
def test_whatever_is_given_is_cast_or_refused(value: object, data_type: DataType) -> None:
    try:
        found = cast_key({"k": value}, {"k": data_type})["k"]
    except KeyCastError:
        return
    assert found is None or type(found) is NATIVE[data_type]


@given(number=st.integers(-(2**63), 2**63 - 1))
def test_whole_number_is_the_same_key_as_number_and_as_text(number: int) -> None:
    as_json = orjson.loads(orjson.dumps(number))
    keys = [cast_key({"k": value}, {"k": LONG}) for value in (as_json, str(number))]
    assert keys == [{"k": number}] * 2
