"""Writes docs/operations.md from the code: `python docs/make_operations.py`.

The operations themselves say all that the table has; the words around it are here.
"""

from pathlib import Path
from typing import NamedTuple

from chronon_beam.aggregator.operations.table import OPERATIONS, TIMED, aggregator
from chronon_beam.api import GroupByError, Operation
from chronon_beam.api.data_types import (
    BYTE,
    SCALARS,
    DataType,
    ListType,
    MapType,
    StructType,
)
from chronon_beam.api.dialect import AIRBNB, DIALECTS, Dialect
from chronon_beam.api.group_by import AggregationPart

PAGE = Path(__file__).with_name("operations.md")

HEAD = """# Operations

Made from the code by `python docs/make_operations.py`; a test fails when it is stale.

T is the type of the input column. The IR is what a tile holds; its bytes are those that Chronon
writes, for the same rows in the same order, unless said below. Nulls are skipped everywhere; a
feature that is NaN or infinite is null. "Deletes" says whether a mutation takes a row out again;
elsewhere the row stays, and the delete is counted and dead-lettered.

"""

TAIL = """
## Collections, buckets, element by element

- **Lists** of scalars are taken apart: each element that is not null is one value. **Maps** with
  string keys are aggregated key by key; the IR and the feature are maps.
  {timed} take lists, maps and structs whole.
- **Buckets** (a string column) split the feature: the IR and the feature are maps from the bucket.
  Buckets over maps and over elementWise are refused.
- **elementWise** (airbnb) aggregates lists of one length place by place; the IR and the feature are
  lists. A list with a null, or of another length than those before it, is dead-lettered; untiled,
  one of another length is left out when features are read.
- An input that an operation does not take is refused when the job is built, with the types that the
  operation takes and the operations that take the type. Dates and timestamps are refused
  everywhere: cast them in the query's selects.

## What differs by dialect

| | airbnb | zipline |
|---|---|---|
{dialects}
| APPROX_PERCENTILE: the median of 1, 2, 3, 4 | 3: ranks are exclusive | 2: they are inclusive |
| elementWise | yes | refused |
| decimals | refused where they would be written | yes |
| one column and operation, aggregated twice | the second field is numbered | refused in tiles |

Decimals: SUM, MIN, MAX, TOP_K, BOTTOM_K, UNIQUE_COUNT and what keeps whole values are exact; the
other operations take them as doubles. Lists of decimals are not taken apart.

## Sketches and Java

- **CPC** (APPROX_UNIQUE_COUNT) and **KLL** (APPROX_PERCENTILE) are those of the DataSketches
  package; CPC gives the bytes of Java's library, also for byte arrays. KLL is random once it is
  full: then only the accuracy is the same.
- **Frequent items** (APPROX_FREQUENT_K, APPROX_HEAVY_HITTERS_K, APPROX_HISTOGRAM_K) are our own
  sketch, step by step Java's: DataSketches for Python hashes items otherwise, so that a full table
  would keep other items.
- **APPROX_HISTOGRAM_K** is, in a tile, the Java object that Chronon serialises
  (`ApproxHistogramIrSerializable`). It is read and written here in Java's stream format.
- **Hash sets and maps** (UNIQUE_COUNT, HISTOGRAM, buckets, maps) come in the order of
  `java.util.HashMap`. Two exceptions: Java orders byte arrays by chance, and buckets of eight and
  more entries, which Java makes trees of, may differ. Strings get such buckets from deliberate
  collisions, doubles of a few digits from hundreds of distinct values.

## Where Chronon is not followed

- UNIQUE_COUNT and BOUNDED_UNIQUE_COUNT compare byte arrays by content; Chronon compares addresses,
  and so counts every one.
- BOUNDED_UNIQUE_COUNT of numbers that is full keeps its k numbers. Chronon puts a word into the
  list of numbers, which Avro refuses, and the tile is lost.
- Structs in two columns, which Chronon writes as all-null records from the second on, are written.
- elementWise works where features are read, too; Chronon loses it there.
- APPROX_HISTOGRAM_K of doubles counts 0.0 and -0.0 apart; Chronon copies the counts into a map
  where the two are one key, and loses one of them.
- Windows that share tail hops are merged from copies; zipline's Chronon merges into the hops
  themselves, so that of two such windows (13 h and 2 d) the second may count values twice.
"""


def type_text(data_type: DataType, input_type: DataType | None = None) -> str:
    """A type for people; T where it is the input's."""
    if data_type == input_type:
        return "T"
    if isinstance(data_type, ListType):
        return f"list of {type_text(data_type.element, input_type)}"
    if isinstance(data_type, MapType):
        return f"map to {type_text(data_type.value, input_type)}"
    if isinstance(data_type, StructType):
        # The time of a TimePair is a long, whatever its payload.
        fields = [
            f"{name} {type_text(kind, None if name == 'epochMillis' else input_type)}"
            for name, kind in data_type.fields
        ]
        # TimePair_string, TimePair_long and so on.
        return f"{data_type.record.partition('_')[0]} {{{', '.join(fields)}}}"
    return {"bool": "boolean", "binary": "bytes"}.get(data_type.name, data_type.name)


class Facts(NamedTuple):
    """What the code says about an operation over one type."""

    input_type: DataType
    ir_type: DataType
    output_type: DataType
    deletes: bool


def facts(operation: Operation, dialect: Dialect) -> list[Facts]:
    """The operation over each scalar type that it takes."""
    found = []
    part = AggregationPart("v", operation, (("k", "8"),), None, None, False)
    for input_type in (*SCALARS, BYTE):
        try:
            made = aggregator(part, input_type, dialect)
        except GroupByError:
            continue
        deletes = made.delete is not None
        found.append(Facts(input_type, made.ir_type, made.output_type, deletes))
    return found


def said_of(pairs: list[tuple[DataType, DataType]]) -> str:
    """(input type, type) pairs in the shortest words: one type, one in T, or by input."""
    for texts in (
        [type_text(data_type) for _, data_type in pairs],
        [type_text(data_type, input_type) for input_type, data_type in pairs],
    ):
        if len(set(texts)) == 1:
            return texts[0]
    by_type: dict[str, list[str]] = {}
    for input_type, data_type in pairs:
        by_type.setdefault(type_text(data_type), []).append(type_text(input_type))
    return "; ".join(f"{text} ({', '.join(inputs)})" for text, inputs in by_type.items())


def k_text(operation: Operation) -> str:
    """The argument k, for people."""
    k = OPERATIONS[operation].k
    if k is None:
        return ""
    default = "k" if k.default is None else f"k = {k.default}"
    return default if k.most is None else f"{default} ({k.least} to {k.most})"


def row(operation: Operation) -> str:
    """The operation's line of the table."""
    known = {name: facts(operation, dialect) for name, dialect in DIALECTS.items()}
    irs = {n: said_of([(f.input_type, f.ir_type) for f in fs]) for n, fs in known.items() if fs}
    outputs = {said_of([(f.input_type, f.output_type) for f in fs]) for fs in known.values() if fs}
    ir = " / ".join(dict.fromkeys(irs.values()))
    name = operation.name if len(irs) > 1 else f"{operation.name} ({next(iter(irs))})"
    deletes = "yes" if any(f.deletes for fs in known.values() for f in fs) else ""
    spec = OPERATIONS[operation]
    takes = spec.inputs_text.replace("bool", "boolean").replace("binary", "bytes")
    (output,) = outputs
    cells = (name, spec.feature, k_text(operation), takes, ir, output, deletes, spec.how)
    return f"| {' | '.join(cells)} |"


def dialect_rows() -> str:
    """Ids and IRs that the dialects do not share."""
    ids = [
        f"| id {i} of a compiled conf | {_name(i, 'airbnb')} | {_name(i, 'zipline')} |"
        for i in sorted({i for dialect in DIALECTS.values() for i in dialect.operations})
        if _name(i, "airbnb") != _name(i, "zipline")
    ]
    irs = []
    for operation in AIRBNB.operations.values():
        texts = [
            said_of([(f.input_type, f.ir_type) for f in facts(operation, dialect)])
            for dialect in DIALECTS.values()
            if operation in dialect.operations.values()
        ]
        if len(set(texts)) > 1:
            irs.append(f"| IR of {operation.name} (same bytes) | {' | '.join(texts)} |")
    return "\n".join([*ids, *irs])


def _name(i: int, dialect: str) -> str:
    operation = DIALECTS[dialect].operations.get(i)
    return operation.name if operation else "none"


def page() -> str:
    """The whole page."""
    header = "| operation | feature | argument | takes | IR | type | deletes | how exact |"
    lines = [header, "|---" * 8 + "|", *(row(operation) for operation in Operation)]
    timed = ", ".join(operation.name for operation in Operation if operation in TIMED)
    return HEAD + "\n".join(lines) + "\n" + TAIL.format(dialects=dialect_rows(), timed=timed)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
