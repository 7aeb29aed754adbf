"""CSV files: names and types of columns, and lines below the header."""

import gzip

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from chronon_beam.api.records import Messages
from chronon_beam.io.files import parts
from chronon_beam.io.sources import open_source
from chronon_beam.transforms.decode import decode_messages
from chronon_beam.transforms.serdes import open_serde

CLICKS = b"user,ts,price\nann,1,2.5\nbob,2,\n\n"


def rows_of(source, columns: pa.Schema, expected: list) -> None:
    decoder = open_serde(source.format).decoder(columns)

    def rows(messages: Messages) -> list[tuple]:
        events = decode_messages(messages, decoder)[0]
        values = [tuple(row.values()) for row in events.batch.to_pylist()]
        return list(zip(events.positions, values, strict=True))

    with beam.Pipeline(runner=FnApiRunner()) as root:
        found = root | source.transform(columns) | beam.FlatMap(rows)
        assert_that(found, equal_to(expected))


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_header_names_the_columns(tmp_path, name):
    content = gzip.compress(CLICKS) if name.endswith("gz") else CLICKS
    (tmp_path / name).write_bytes(content)
    source = open_source(f"file:{tmp_path}/{name}?header=true&inferSchema=true")
    source.reach()
    kinds = [("user", pa.string()), ("ts", pa.int64()), ("price", pa.float64())]
    assert source.schema() == pa.schema(kinds)
    rows_of(source, source.schema(), [(2, ("ann", 1, 2.5)), (3, ("bob", 2, None))])


def test_without_a_header_columns_are_numbered_and_text(tmp_path):
    (tmp_path / "a.tsv").write_bytes(b"ann\t007\n")
    source = open_source(f"file:{tmp_path}/a.tsv?sep=%5Ct")
    assert source.schema() == pa.schema([("_c0", pa.string()), ("_c1", pa.string())])
    rows_of(source, source.schema(), [(1, ("ann", "007"))])


def test_a_given_schema_names_the_columns_in_their_order(tmp_path):
    (tmp_path / "a.csv").write_bytes(CLICKS)
    source = open_source(
        f"file:{tmp_path}/a.csv?header=true&schema=who STRING, `at, ms` BIGINT, p DECIMAL(3, 1)"
    )
    columns = pa.schema([("p", pa.decimal128(3, 1)), ("at, ms", pa.int64())])
    rows_of(source, columns.remove(0), [(2, (1,)), (3, (2,))])


def test_large_files_have_one_header(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "SIZE", 20_000)
    lines = b"".join(b"%d\n" % i for i in range(10_000))
    (tmp_path / "a.csv").write_bytes(b"i\n" + lines)
    source = open_source(f"file:{tmp_path}/a.csv?header=true&schema=i INT")
    expected = [(i + 2, (i,)) for i in range(10_000)]
    rows_of(source, pa.schema([("i", pa.int32())]), expected)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("header=yes", "header=yes: true or false"),
        ("sep=;&delimiter=;", "one option"),
        ("heador=true", "did you mean 'header'"),
    ],
)
def test_options_are_checked(tmp_path, query, said):
    with pytest.raises(ValueError, match=said):
        open_source(f"file:{tmp_path}/a.csv?{query}")


def test_options_of_csv_are_refused_for_other_files(tmp_path):
    with pytest.raises(ValueError, match="header= is an option of CSV"):
        open_source(f"file:{tmp_path}/a.jsonl?format=jsonl&header=true")
