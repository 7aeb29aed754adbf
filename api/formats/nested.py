"""Arrow arrays of nested types with other leaves: lists, maps and structs around them stay."""

from collections.abc import Callable

import pyarrow as pa

Leaf = Callable[[pa.Array, pa.DataType], pa.Array]
"""Makes an array of a type that is not nested of another one."""


def with_leaves(array: pa.Array, kind: pa.DataType, leaf: Leaf) -> pa.Array:
    """The array as `kind`, which has the same lists, maps and structs, and other leaves.

    >>> numbers = pa.array([[1, 2], None], pa.list_(pa.int64()))
    >>> texts = with_leaves(numbers, pa.list_(pa.string()), lambda each, kind: each.cast(kind))
    >>> texts.to_pylist()
    [['1', '2'], None]
    """
    if array.type == kind:
        return array
    if not pa.types.is_nested(kind):
        return leaf(array, kind)
    if array.offset:
        array = pa.concat_arrays([array, array[:0]])
    if pa.types.is_struct(kind):
        children = [with_leaves(array.field(i), each.type, leaf) for i, each in enumerate(kind)]
        return pa.Array.from_buffers(kind, len(array), array.buffers()[:1], children=children)
    if pa.types.is_map(kind):
        keys = with_leaves(array.keys, kind.key_type, leaf)
        items = with_leaves(array.items, kind.item_type, leaf)
        entries = pa.StructArray.from_arrays(
            [keys, items], fields=[kind.key_field, kind.item_field]
        )
        return pa.Array.from_buffers(kind, len(array), array.buffers()[:2], children=[entries])
    if not pa.types.is_list(array.type):
        array = array.cast(pa.list_(array.type.value_type))
    values = with_leaves(array.values, kind.value_type, leaf)
    return pa.Array.from_buffers(kind, len(array), array.buffers()[:2], children=[values])
