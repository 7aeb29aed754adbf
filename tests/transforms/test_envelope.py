"""Changes with `before` and `after` as rows."""

import pyarrow as pa

from chronon_beam.transforms.decode import Events
from chronon_beam.transforms.envelope import is_envelope, unfold, unfolded_schema
from chronon_beam.transforms.spark.session import parse_ddl

CHANGES = parse_ddl(
    "op STRING, before STRUCT<id: INT, op: STRING>, after STRUCT<id: INT, op: STRING>, ts_ms BIGINT"
)


def events(rows: list[tuple[int | None, int | None]]) -> Events:
    made = [
        {
            "op": "u",
            "before": None if before is None else {"id": before, "op": "b"},
            "after": None if after is None else {"id": after, "op": "a"},
            "ts_ms": at,
        }
        for at, (before, after) in enumerate(rows)
    ]
    payloads = [str(at).encode() for at in range(len(rows))]
    batch = pa.RecordBatch.from_pylist(made, CHANGES)
    positions = list(range(10, 10 + len(rows)))
    return Events(batch, "test", positions, payloads, pa.array(positions, pa.int64()))


def test_before_comes_first_and_nulls_give_no_row() -> None:
    unfolded = unfold(events([(None, 1), (1, 2), (None, None), (2, None)]))
    assert unfolded.batch.schema == unfolded_schema(CHANGES)
    assert unfolded.batch.to_pylist() == [
        {"id": 1, "op": "a", "is_before": False, "ts_ms": 0},
        {"id": 1, "op": "b", "is_before": True, "ts_ms": 1},
        {"id": 2, "op": "a", "is_before": False, "ts_ms": 1},
        {"id": 2, "op": "b", "is_before": True, "ts_ms": 3},
    ]
    assert unfolded.positions == [10, 11, 11, 13]
    assert unfolded.payloads == [b"0", b"1", b"1", b"3"]
    assert (unfolded.source, unfolded.promised_ms) == ("test", pa.array(unfolded.positions))


def test_no_event_gives_no_row() -> None:
    assert unfold(events([])).batch.num_rows == 0
    assert unfold(events([(None, None)])).batch.schema == unfolded_schema(CHANGES)


def test_only_records_of_the_same_columns_are_an_envelope() -> None:
    assert is_envelope(CHANGES)
    assert not is_envelope(parse_ddl("before INT, after INT"))
    assert not is_envelope(parse_ddl("before STRUCT<id: INT>, after STRUCT<id: BIGINT>"))
    assert not is_envelope(parse_ddl("after STRUCT<id: INT>"))
