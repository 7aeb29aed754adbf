"""Changes of entities as `{"before": {...}, "after": {...}, ...}`: one event, up to two rows.

The row `before` is taken back from the tiles, then the row `after` is added.

Source: `Mutation` in `ai.chronon.online.serde.SerDe`, and zipline's `DeserializationSchema` for the
order.
"""

import numpy as np
import pyarrow as pa

from chronon_beam.api.group_by import IS_BEFORE
from chronon_beam.transforms.decode import Events

BEFORE, AFTER = "before", "after"


def is_envelope(schema: pa.Schema) -> bool:
    """Whether events are changes: `before` and `after` are records of the same columns."""
    if BEFORE not in schema.names or AFTER not in schema.names:
        return False
    before, after = schema.field(BEFORE).type, schema.field(AFTER).type
    same = pa.types.is_struct(before) and pa.types.is_struct(after)
    return same and [f.name for f in before] == [f.name for f in after] and before.equals(after)


def unfolded_schema(schema: pa.Schema) -> pa.Schema:
    """The columns of the rows of changes: the record's, `is_before`, and the envelope's others.

    If the envelope and the record have a column of one name, the rows have the record's.
    """
    record = list(schema.field(AFTER).type)
    taken = {*(field.name for field in record), IS_BEFORE, BEFORE, AFTER}
    others = [field for field in schema if field.name not in taken]
    return pa.schema([*record, pa.field(IS_BEFORE, pa.bool_()), *others])


def narrow_schema(schema: pa.Schema, used: pa.Schema) -> pa.Schema:
    """The schema of changes with only those columns that their rows need.

    Args:
        schema: of the changes.
        used: the columns that are read of the rows.
    """
    record = pa.struct([each for each in schema.field(AFTER).type if each.name in used.names])
    sides = {BEFORE: record, AFTER: record}
    return pa.schema(
        [
            pa.field(each.name, sides.get(each.name, each.type), metadata=each.metadata)
            for each in schema
            if each.name in sides or each.name in used.names
        ]
    )


def unfold(events: Events) -> Events:
    """A row for each `before` and `after` that is not null, in the order of the events."""
    batch = events.batch
    parts = {True: batch.column(BEFORE), False: batch.column(AFTER)}
    there = np.column_stack(
        [part.is_valid().to_numpy(zero_copy_only=False) for part in parts.values()]
    )
    parents, sides = there.nonzero()
    both = pa.concat_arrays(list(parts.values()))
    chosen = both.take(pa.array(sides * batch.num_rows + parents))
    schema = unfolded_schema(batch.schema)
    columns = []
    for index, field in enumerate(schema):
        if index < chosen.type.num_fields:
            columns.append(chosen.field(index))
        elif field.name == IS_BEFORE:
            columns.append(pa.array(sides == 0))
        else:
            columns.append(batch.column(field.name).take(pa.array(parents)))
    unfolded = events.of_messages(parents.tolist())
    return unfolded._replace(batch=pa.RecordBatch.from_arrays(columns, schema=schema))
