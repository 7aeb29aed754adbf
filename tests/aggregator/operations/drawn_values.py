"""Types with values that are of them, for Hypothesis to draw."""

from typing import Any

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
    list_of,
    map_of,
    struct_of,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
LONGS = st.integers(-(1 << 63), (1 << 63) - 1)
SCALARS: dict[DataType, st.SearchStrategy[Any]] = {
    BOOLEAN: st.booleans(),
    BYTE: st.integers(-128, 127),
    SHORT: st.integers(-(1 << 15), (1 << 15) - 1),
    INT: st.integers(-(1 << 31), (1 << 31) - 1),
    LONG: LONGS,
    FLOAT: st.floats(width=32, allow_nan=False),
    DOUBLE: st.floats(allow_nan=False),
    STRING: TEXTS,
    BINARY: st.binary(max_size=300),
}
Typed = tuple[DataType, st.SearchStrategy[Any]]


def nested(inner: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    def struct(parts: list[Typed]) -> Typed:
        names = [f"f{index}" for index in range(len(parts))]
        fields = tuple((name, kind) for name, (kind, _) in zip(names, parts, strict=True))
        values = {name: st.none() | part[1] for name, part in zip(names, parts, strict=True)}
        return struct_of("S", fields), st.fixed_dictionaries(values)

    return st.one_of(
        inner.map(lambda typed: (list_of(typed[0]), st.lists(typed[1], max_size=3))),
        inner.map(lambda typed: (map_of(typed[0]), st.dictionaries(TEXTS, typed[1], max_size=3))),
        st.lists(inner, min_size=1, max_size=3).map(struct),
    )


TYPED = st.recursive(st.sampled_from(list(SCALARS.items())), nested, max_leaves=4)
