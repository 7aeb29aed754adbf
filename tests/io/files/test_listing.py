"""Which files a path names, the columns of folders, and files that are not what they seem."""

import gzip
import json

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from chronon_beam.api.records import Messages
from chronon_beam.io.files.listing import folder_of, matching, partition_schema, partition_values
from chronon_beam.io.sources import open_source
from chronon_beam.transforms.attributes import with_attributes
from chronon_beam.transforms.decode import decode_messages
from chronon_beam.transforms.serdes import open_serde

LINE = b'{"i": 1}\n'


def put(folder, *names: str, content: bytes = LINE) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def below(folder, paths: list[str]) -> list[str]:
    return [path.removeprefix(f"{folder}/") for path in paths]


def test_a_folder_is_its_data_at_any_depth_without_what_spark_leaves_beside_it(tmp_path):
    hidden = ["_SUCCESS", ".part-0.json.crc", "_temporary/0/part-1.json", ".hive/x.json"]
    data = ["part-0.json", "a/b/part-1.json", "_ds=1/part-2.json"]
    put(tmp_path, *hidden, *data)
    for pattern in (str(tmp_path), f"{tmp_path}/", f"{tmp_path}//"):
        assert below(tmp_path, matching(pattern)) == sorted(data)
    assert below(tmp_path, matching(f"{tmp_path}/*")) == ["part-0.json"]
    assert below(tmp_path, matching(f"{tmp_path}/_SUCCESS")) == ["_SUCCESS"]


@pytest.mark.parametrize("name", ["", "nowhere/", "no*.json"])
def test_path_that_matches_no_file_is_refused(tmp_path, name):
    with pytest.raises(FileNotFoundError, match="no file matches"):
        matching(f"{tmp_path}/{name}")


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["1", "02"], pa.int32()),
        (["1", "3000000000"], pa.int64()),
        (["1", "0.5"], pa.float64()),
        (["2024-01-01", "__HIVE_DEFAULT_PARTITION__"], pa.date32()),
        (["2024-01-01 10%3A00%3A00"], pa.timestamp("us", tz="UTC")),
        (["a", "1"], pa.string()),
        (["__HIVE_DEFAULT_PARTITION__"], pa.string()),
    ],
)
def test_partition_columns_have_the_types_that_spark_infers(texts, kind):
    paths = [f"/data/x%20y={text}/part.json" for text in texts]
    assert partition_schema("/data", paths) == pa.schema([("x y", kind)])


def test_folders_of_different_columns_are_refused():
    with pytest.raises(ValueError, match=r"different columns: \['a'\] and \['b'\]"):
        partition_schema("/d", ["/d/a=1/x.json", "/d/b=1/x.json"])


def test_the_columns_of_folders_reach_the_events(tmp_path):
    put(tmp_path, "ds=2024-01-01/h=01/a.jsonl", "ds=__HIVE_DEFAULT_PARTITION__/h=02/b.jsonl")
    source = open_source(f"file:{tmp_path}?schema=i BIGINT, h STRING")
    assert source.attributes() == pa.schema([("ds", pa.date32()), ("h", pa.int32())])
    schema = pa.schema([("i", pa.int64()), ("h", pa.string())])
    serde = with_attributes(open_serde(source.format), source.attributes(), schema, first=True)
    columns = serde.schema()
    assert columns.field("h").type == pa.string()
    decoder = serde.decoder(columns)

    def rows(messages: Messages) -> list[str]:
        return [str(row) for row in decode_messages(messages, decoder)[0].batch.to_pylist()]

    with beam.Pipeline(runner=FnApiRunner()) as root:
        found = root | source.transform(columns) | beam.FlatMap(rows)
        expected = [
            "{'i': 1, 'ds': datetime.date(2024, 1, 1), 'h': '01'}",
            "{'i': 1, 'ds': None, 'h': '02'}",
        ]
        assert_that(found, equal_to(expected))


def test_a_colon_that_is_written_as_hive_does_is_found(tmp_path):
    put(tmp_path, "hour=10%3A00/a.jsonl", "day1.jsonl", "day2.jsonl")
    source = open_source(f"file:{tmp_path}/hour=10%3A00/a.jsonl")
    assert source.schema() == pa.schema([("i", pa.int64())])
    assert folder_of(f"{tmp_path}/hour=10%3A00/a.jsonl") is None
    values = partition_values(str(tmp_path), f"{tmp_path}/hour=10%3A00/a.jsonl")
    assert values == {"hour": "10:00"}


def test_a_question_mark_in_a_path_is_a_wildcard(tmp_path):
    put(tmp_path, "day1.jsonl", "day2.jsonl", "day10.jsonl")
    source = open_source(f"file:{tmp_path}/day?.jsonl?schema=i BIGINT")
    assert source.ddl == "i BIGINT"
    assert open_source(f"file:{tmp_path}/day?.jsonl").units() == source.units()
    assert [unit.path[-10:] for unit in source.units()] == ["day1.jsonl", "day2.jsonl"]


ROWS = [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", json.dumps(ROWS).encode(), r"one JSON array.*jq -c '\.\[\]'"),
        ("a.json", json.dumps(ROWS, indent=2).encode(), "one JSON array"),
        ("a.json", json.dumps(ROWS[0], indent=2).encode(), "of several lines.*jq -c"),
        ("a.jsonl", '{"a": 1}\n'.encode("utf-16"), "is UTF-16: convert it.*iconv"),
        ("a.jsonl", gzip.compress(LINE), "is a .gz file: give it a name"),
        ("a.jsonl.gz", LINE, "not compressed as .gz says"),
        ("a.jsonl", b"PAR1\0\0", "is a Parquet file"),
    ],
)
def test_files_that_are_not_lines_of_json_are_recognized_before_the_job(
    tmp_path, name, content, said
):
    put(tmp_path, name, content=content)
    with pytest.raises(ValueError, match=said):
        open_source(f"file:{tmp_path}/{name}?schema=a BIGINT").reach()


@pytest.mark.parametrize("content", [LINE, b"", b"\n\n", b"{bad\n" + LINE, b"\xef\xbb\xbf" + LINE])
def test_files_that_are_lines_pass(tmp_path, content):
    put(tmp_path, "a.jsonl", content=content)
    put(tmp_path, "a.jsonl.gz", content=gzip.compress(content))
    open_source(f"file:{tmp_path}/*?format=jsonl").reach()
