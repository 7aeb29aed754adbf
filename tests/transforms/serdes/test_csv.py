"""The serde `csv`: lines become rows or reasons."""

import csv
import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.api.records import Messages
from chronon_beam.api.serde import Decoded, Format
from chronon_beam.transforms.serdes import open_serde


def serde(*names: str, **parameters: str):
    return open_serde(Format("csv", {"names": json.dumps(names), **parameters}))


def decoded(opened, columns: pa.Schema, *lines: bytes) -> Decoded:
    messages = Messages("a.csv", list(range(1, len(lines) + 1)), list(lines))
    return opened.decoder(columns).decode(messages)


texts = st.text(st.characters(exclude_characters="\r\n\0\\", codec="utf-8"), min_size=1, max_size=5)


@given(
    st.lists(st.tuples(texts, texts, st.none() | texts), max_size=5),
    st.sampled_from(",;|\t"),
    st.sampled_from("\"'"),
)
def test_what_pythons_writer_wrote_is_read_by_any_columns(rows, sep, quote):
    out = io.StringIO()
    csv.writer(out, delimiter=sep, quotechar=quote, lineterminator="\n").writerows(rows)
    lines = [line.encode() for line in out.getvalue().split("\n")[:-1]]
    opened = serde("a", "b", "c", sep=sep, quote=quote)
    for names in (["a", "b", "c"], ["C"], ["b", "other"]):
        columns = pa.schema([(name, pa.string()) for name in names])
        batch, reasons, _ = decoded(opened, columns, *lines)
        assert reasons == {}
        for found, row in zip(batch.to_pylist(), rows, strict=True):
            known = dict(zip("abc", row, strict=True))
            assert found == {name: known.get(name.lower()) for name in names}


def test_values_have_the_types_of_their_columns():
    columns = pa.schema(
        [
            ("i", pa.int32()),
            ("f", pa.float64()),
            ("b", pa.bool_()),
            ("d", pa.decimal128(5, 2)),
            ("day", pa.date32()),
            ("at", pa.timestamp("us", tz="UTC")),
            ("s", pa.string()),
        ]
    )
    batch, reasons, _ = decoded(
        serde(*columns.names, nullValue="NA"),
        columns,
        b"7,1e3,TRUE,1.005,2024-01-01,2024-01-01T10:00:00Z,x",
        b",,,,,,NA",
        b'-1,NaN,false,-2,2024-01-01,2024-01-01 10:00:00,"a ""b"", \\"c"',
    )
    noon = datetime(2024, 1, 1, 10, tzinfo=UTC)
    first, nulls, last = batch.to_pylist()
    assert reasons == {}
    assert list(first.values()) == [7, 1000.0, True, Decimal("1.01"), date(2024, 1, 1), noon, "x"]
    assert set(nulls.values()) == {None}
    assert (last["i"], last["b"], last["s"]) == (-1, False, 'a "b", "c')


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"x,1", "column 'n': expected BIGINT, found 'x'"),
        (b"1.5,1", "column 'n': expected BIGINT, found '1.5'"),
        (b"9223372036854775808,1", "out of range"),
        (b"1", "1 values, and 2 columns"),
        (b"1,2,3", "3 values, and 2 columns"),
        (b'1,"2', "not CSV: "),
        (b"1,\xff", "utf-8"),
    ],
)
def test_a_line_that_does_not_fit_is_refused_alone(line, reason):
    columns = pa.schema([("n", pa.int64())])
    batch, reasons, _ = decoded(serde("n", "m"), columns, b"1,a", line, b"2,b")
    assert batch.column("n").to_pylist() == [1, 2]
    assert list(reasons) == [1]
    assert reason in reasons[1]


def test_values_of_columns_that_are_not_read_cannot_stop_a_line():
    batch, reasons, _ = decoded(serde("n", "m"), pa.schema([("m", pa.int64())]), b"odd,1")
    assert (batch.to_pylist(), reasons) == ([{"m": 1}], {})


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"sep": "::"}, "sep='::': one character"),
        ({"seb": ","}, "did you mean 'sep'"),
    ],
)
def test_options_are_checked(parameters, said):
    with pytest.raises(ValueError, match=said):
        serde("a", **parameters)
    with pytest.raises(ValueError, match="cannot be read from CSV"):
        serde("a").decoder(pa.schema([("a", pa.list_(pa.string()))]))
