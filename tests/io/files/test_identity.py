"""How a file is identified: among others, and after it has grown; and reading only what is new."""

import gzip
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.io.files import identity, parts
from chronon_beam.io.files.source import FileSource
from chronon_beam.io.units import unread

LINES = [b'{"i": 1}\n', b'{"i": 22}\n', b'{"i": 3}', b'\n{"i": 4}\n', b"\r\n"]


def test_a_file_has_one_name_from_whatever_folder_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "e.jsonl").write_bytes(LINES[0])
    (tmp_path / "a" / "link.jsonl").symlink_to("e.jsonl")
    found = set()
    for folder, typed in (
        (tmp_path, "a/e.jsonl"),
        (tmp_path / "a", "e.jsonl"),
        (tmp_path / "b", "../a/./*.jsonl"),
        (Path("/"), str(tmp_path / "a" / "link.jsonl")),
    ):
        monkeypatch.chdir(folder)
        (unit,) = FileSource(typed).units()
        found.add(unit)
    (other,) = FileSource(str(tmp_path / "b" / "e.jsonl")).units()
    assert {unit.path for unit in found} == {str(tmp_path.resolve() / "a" / "e.jsonl")}
    assert len(found) == 1
    assert other.path != unit.path
    assert other.fingerprint == unit.fingerprint


@given(st.binary(max_size=40), st.binary(max_size=40), st.integers(0, 39))
def test_bytes_that_differ_where_they_are_looked_at_have_other_fingerprints(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, added: bytes, at: int
) -> None:
    file = tmp_path_factory.getbasetemp() / "f.jsonl"
    file.write_bytes(data)
    (read,) = FileSource(str(file)).units()
    file.write_bytes(data + added)
    ends_a_line = data[-1:] == b"\n" or added[:1] == b"\n" or added[:2] == b"\r\n"
    assert identity.begins_with(str(file), read) == (ends_a_line or not data)
    if at < len(data):
        file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] + added)
        assert not identity.begins_with(str(file), read)


def test_only_json_lines_that_are_not_compressed_go_on(tmp_path: Path) -> None:
    for name, first, second, goes_on in (
        ("a.jsonl", LINES[0], LINES[0] + LINES[1], True),
        ("b.jsonl.gz", gzip.compress(LINES[0]), gzip.compress(LINES[0]) * 2, False),
        ("c.avro", b"a\n", b"a\nb", False),
    ):
        source = FileSource(str(tmp_path / name))
        (tmp_path / name).write_bytes(first)
        (read,) = source.units()
        (tmp_path / name).write_bytes(second)
        assert source.goes_on(read, source.units()[0]) == goes_on


@pytest.mark.parametrize("size", [5, 1 << 20])
def test_units_are_read_and_nothing_before_or_after_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(parts, "SIZE", size)
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"".join(LINES[:2]))
    (tmp_path / "b.jsonl").write_bytes(LINES[0])
    source = FileSource(f"{tmp_path}/*.jsonl")
    read = {unit.path: unit for unit in source.units()}
    file.write_bytes(b"".join([*LINES[:2], LINES[0], LINES[2]]))
    left = unread(source.units(), read, source.goes_on)
    file.write_bytes(b"".join([*LINES[:2], LINES[0], LINES[2], LINES[3]]))
    with beam.Pipeline(runner=FnApiRunner()) as root:
        found = root | source.of_units(left).transform(pa.schema([]))
        pairs = found | beam.FlatMap(
            lambda each: list(zip(each.positions, each.payloads, strict=True))
        )
        assert_that(pairs, equal_to([(3, b'{"i": 1}'), (4, b'{"i": 3}')]))
