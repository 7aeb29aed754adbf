"""The `file:` source: from a URI to messages."""

import bz2
import gzip
import io
from pathlib import Path

import apache_beam as beam
import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from chronon_beam.api.records import Messages
from chronon_beam.io.files import parts
from chronon_beam.io.files.file_formats import format_of
from chronon_beam.io.files.json_lines import read_lines
from chronon_beam.io.files.parts import Part
from chronon_beam.io.files.source import FileSource
from chronon_beam.io.memory import MemorySource
from chronon_beam.io.sources import ARROW, JSON, Source, open_source

NO_COLUMNS = pa.schema([])


def lines(count: int, start: int = 0) -> bytes:
    return b"".join(b'{"i": %d}\n' % i for i in range(start, start + count))


def seen(messages: Messages) -> tuple[str, int, int, bool]:
    first = messages.positions[0] if messages.positions else 0
    return Path(messages.source).name, first, len(messages.positions), messages.error is None


def check(source: Source, expected: list, *, streaming: bool = False) -> None:
    options = PipelineOptions(streaming=streaming)
    with beam.Pipeline(runner=FnApiRunner(), options=options) as root:
        found = root | source.transform(NO_COLUMNS) | beam.Map(seen)
        assert_that(found, equal_to(expected))


@pytest.mark.parametrize("streaming", [False, True])
def test_files_of_a_pattern_are_read_in_batches(tmp_path, streaming):
    (tmp_path / "a.jsonl").write_bytes(lines(2500))
    (tmp_path / "b.jsonl").write_bytes(lines(3))
    (tmp_path / "c.txt").write_bytes(b"other")
    expected = [
        ("a.jsonl", 1, 1000, True),
        ("a.jsonl", 1001, 1000, True),
        ("a.jsonl", 2001, 500, True),
        ("b.jsonl", 1, 3, True),
    ]
    check(open_source(f"file:{tmp_path}/*.jsonl"), expected, streaming=streaming)


@pytest.mark.parametrize("streaming", [False, True])
def test_large_files_are_read_in_parts(tmp_path, monkeypatch, streaming):
    monkeypatch.setattr(parts, "SIZE", 20_000)
    (tmp_path / "a.jsonl").write_bytes(lines(3_000))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines(3_000)))
    expected = [
        ("a.jsonl", 1, 1000, True),
        ("a.jsonl", 1001, 760, True),
        ("a.jsonl", 1761, 1000, True),
        ("a.jsonl", 2761, 240, True),
        *[("b.jsonl.gz", at, 1000, True) for at in (1, 1001, 2001)],
    ]
    check(open_source(f"file:{tmp_path}/*"), expected, streaming=streaming)


def test_uri_carries_the_ddl_and_the_format(tmp_path):
    (tmp_path / "a.log").write_bytes(lines(1))
    source = open_source(f"file:{tmp_path}/a.log?schema=i BIGINT, s STRING&format=jsonl")
    assert source.ddl == "i BIGINT, s STRING"
    assert source.format == JSON
    assert source.bounded
    check(source, [("a.log", 1, 1, True)])


def test_relative_path_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.jsonl").write_bytes(lines(1))
    check(open_source("file:a.jsonl"), [("a.jsonl", 1, 1, True)])


@pytest.mark.parametrize(("end", "compress"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_compressed_lines_and_their_schema(tmp_path, end, compress):
    (tmp_path / f"a.json{end}").write_bytes(compress(lines(3)))
    source = open_source(f"file:{tmp_path}/a.json{end}")
    assert source.schema() == pa.schema([("i", pa.int64())])
    check(source, [(f"a.json{end}", 1, 3, True)])


def test_truncated_file_does_not_stop_the_job(tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines(3))[:-10])
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines(3)))
    expected = [
        ("a.jsonl.gz", 1, 2, True),
        ("a.jsonl.gz", 3, 1, False),
        ("b.jsonl.gz", 1, 3, True),
    ]
    check(open_source(f"file:{tmp_path}/*.gz"), expected)


def test_schema_of_lines_looks_over_file_borders(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"")
    (tmp_path / "b.jsonl").write_bytes(b'{"s": "x"}\n')
    assert open_source(f"file:{tmp_path}/*").schema() == pa.schema([("s", pa.string())])


def test_lines_without_any_field_ask_for_the_schema(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"[]\n{}\n")
    with pytest.raises(ValueError, match=r"no JSON object with a field.*\?schema="):
        open_source(f"file:{tmp_path}/a.jsonl").schema()


def avro(path: Path, name: str, kind: str = "long") -> None:
    schema = {"type": "record", "name": "E", "fields": [{"name": name, "type": kind}]}
    with path.open("wb") as file:
        fastavro.writer(file, schema, [{name: 1}, {name: 2}] if kind == "long" else [])


def test_avro_and_parquet_are_tables(tmp_path):
    avro(tmp_path / "a.avro", "i")
    pq.write_table(pa.table({"i": [1, 2, 3]}), tmp_path / "a.parquet")
    for name, rows in (("a.avro", 2), ("a.parquet", 3)):
        source = open_source(f"file:{tmp_path}/{name}")
        assert source.format == ARROW
        assert source.schema() == pa.schema([("i", pa.int64())])
        check(source, [(name, 1, rows, True)])


def test_files_of_different_columns_are_named_with_the_difference(tmp_path):
    avro(tmp_path / "a.avro", "i")
    avro(tmp_path / "b.avro", "i", "string")
    with pytest.raises(ValueError, match=r"a\.avro and .*b\.avro differ: column 'i' is int64"):
        open_source(f"file:{tmp_path}/*.avro").schema()


def test_mixture_of_formats_is_refused(tmp_path):
    avro(tmp_path / "a.avro", "i")
    (tmp_path / "b.jsonl").write_bytes(lines(1))
    with pytest.raises(ValueError, match="several formats"):
        open_source(f"file:{tmp_path}/*").transform(NO_COLUMNS)


def test_file_of_another_format_than_its_name_is_refused_when_built(tmp_path):
    for name in ("a.avro", "a.parquet"):
        (tmp_path / name).write_bytes(lines(1))
        with pytest.raises(ValueError, match=f"{name} cannot be read as"):
            open_source(f"file:{tmp_path}/{name}").schema()


def test_nothing_that_matches_is_an_error_with_the_path(tmp_path):
    for uri in (f"file:{tmp_path}/no.jsonl", f"file:{tmp_path}/no*.jsonl?format=jsonl"):
        with pytest.raises(FileNotFoundError, match=r"no file matches .*no"):
            open_source(uri).transform(NO_COLUMNS)


@pytest.mark.parametrize(
    ("query", "message"),
    [("formt=avro", "did you mean 'format'"), ("format=orc", "'orc' is unknown: use one of jsonl")],
)
def test_wrong_parameters_are_refused(query, message):
    with pytest.raises(ValueError, match=message):
        open_source(f"file:a.jsonl?{query}")


def test_format_is_told_by_the_name():
    assert format_of("A.JSONL.gz") == "jsonl"
    assert format_of("x.ndjson") == "jsonl"
    assert format_of("x.parquet") == "parquet"
    for name in ("x.txt", "x.gz", "x.avro.gz"):
        with pytest.raises(ValueError, match=r"add \?format=jsonl\|csv\|avro\|parquet"):
            format_of(name)


def test_reading_holds_a_batch_and_not_the_file():
    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            return b"{}\n" * 1000

    batches = read_lines(Endless(), Part("endless.jsonl"), 1000)
    assert len(next(batches).payloads) == 1000


def test_memory_source_keeps_order():
    source = MemorySource.of_lines([b"1", b"2", b"3"], rows=2, ddl="a INT")
    assert source.batches == [
        Messages("memory", [1, 2], [b"1", b"2"]),
        Messages("memory", [3], [b"3"]),
    ]
    assert source.ddl == "a INT"
    check(source, [("memory", 1, 2, True), ("memory", 3, 1, True)])


def test_file_source_pickles():
    import pickle

    source = FileSource("a.jsonl", "jsonl")
    assert pickle.loads(pickle.dumps(source)) == source
