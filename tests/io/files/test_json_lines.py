"""Files of lines, also compressed or damaged, and the schema of JSON lines."""

import bz2
import gzip
import io

import orjson
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.io.files import json_lines, parts
from chronon_beam.io.files.json_lines import read_lines, split_lines
from chronon_beam.io.files.parts import Part, line_parts

COMPRESS = {".gz": gzip.compress, ".bz2": bz2.compress, ".zst": zstandard.compress, "": bytes}


def read(data: bytes, name: str = "a.jsonl", rows: int = 1000):
    return list(read_lines(io.BytesIO(data), Part(name), rows))


def test_positions_are_line_numbers_and_blank_lines_are_only_counted():
    (batch,) = read(b"\xef\xbb\xbf{}\r\n\n  \t\r\n[]\n\n{1}")
    assert batch.payloads == [b"{}", b"[]", b"{1}"]
    assert batch.positions == [1, 4, 6]
    assert batch.source == "a.jsonl"


def test_batches_hold_up_to_so_many_rows():
    batches = read(b"".join(b"%d\n" % i for i in range(25)), rows=10)
    assert [len(batch.payloads) for batch in batches] == [10, 10, 5]
    assert batches[2].positions == [21, 22, 23, 24, 25]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf"])
def test_file_without_a_message_gives_nothing(data):
    assert read(data) == []


@pytest.mark.parametrize("end", COMPRESS)
def test_compressed_files_also_of_several_parts(end):
    data = COMPRESS[end](b"1\n2") + COMPRESS[end](b"3\n4\n")
    (batch,) = read(data, "a.jsonl" + end)
    assert batch.payloads == [b"1", b"23", b"4"]


@pytest.mark.parametrize("end", [".gz", ".bz2", ".zst"])
def test_truncated_file_keeps_what_was_read_and_ends_with_an_error(end):
    text = b"".join(orjson.dumps({"i": i, "hash": hash(str(i))}) + b"\n" for i in range(300_000))
    data = COMPRESS[end](text)
    batches = read(data[: len(data) * 2 // 3], "a.jsonl" + end)
    *good, last = batches
    kept = [line for batch in good for line in batch.payloads]
    assert len(kept) > 10_000
    assert kept == text.split(b"\n")[: len(kept)]
    assert "middle of the compressed data" in (last.error or "")
    assert last.positions[0] == good[-1].positions[-1] + 1
    assert text.split(b"\n")[len(kept)].startswith(last.payloads[0])


def test_damaged_bytes_end_with_an_error():
    data = bytearray(gzip.compress(b"".join(b"%d\n" % hash(str(i)) for i in range(100_000))))
    data[len(data) // 2] ^= 0xFF
    *good, last = read(bytes(data), "a.jsonl.gz")
    assert good
    assert last.error


def test_file_that_is_not_gzip_is_one_error():
    (only,) = read(b"{}\n", "a.jsonl.gz")
    assert only.error
    assert "after line 0" in only.error


def test_file_without_line_ends_is_not_held_in_memory(monkeypatch):
    monkeypatch.setattr(json_lines, "_LONGEST", 1 << 20)
    *good, last = read(b"1\n" + b"x" * (3 << 20))
    assert good[0].payloads == [b"1"]
    assert "longer than 1 MiB" in last.error


@given(st.binary(max_size=60), st.lists(st.integers(0, 60)))
def test_lines_do_not_depend_on_how_the_bytes_arrive(data, cuts):
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in zip(edges, edges[1:], strict=False)]
    expected = [line.removesuffix(b"\r") for line in data.split(b"\n")]
    if data.endswith(b"\n") or not data:
        expected = expected[:-1]
    found = list(split_lines(pieces))
    if not data.startswith(b"\xef\xbb\xbf"):
        assert found == expected


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_byte_order_mark_may_arrive_in_pieces(size):
    data = b"\xef\xbb\xbfa\nb"
    assert list(split_lines(data[i : i + size] for i in range(0, 6, size))) == [b"a", b"b"]


@given(st.lists(st.sampled_from([b"a", b"", b"bcd", b"\r"])), st.booleans(), st.integers(1, 9))
def test_parts_together_are_the_file_with_its_line_numbers(texts, ended, size):
    data = b"\n".join(texts) + (b"\n" if ended and texts else b"")
    whole = [
        pair for each in read(data) for pair in zip(each.positions, each.payloads, strict=True)
    ]
    divided = list(line_parts(io.BytesIO(data), Part("a.jsonl"), size))
    found = [
        pair
        for part in divided
        for each in read_lines(io.BytesIO(data), part, 2)
        for pair in zip(each.positions, each.payloads, strict=True)
    ]
    assert found == whole
    assert all(part.stop - part.start >= size for part in divided)


@given(
    st.lists(st.sampled_from([b"a", b"", b"bcd"])),
    st.lists(st.sampled_from([b"a", b"", b"bcd"])),
    st.booleans(),
    st.integers(1, 9),
)
def test_a_file_that_has_grown_is_read_on_from_where_reading_stopped(before, added, ended, size):
    old = b"\n".join(before) + (b"\n" if ended and before else b"")
    data = old + (b"" if ended or not before else b"\n") + b"\n".join(added)
    found = [
        pair
        for whole in (Part("a.jsonl", 0, len(old)), Part("a.jsonl", len(old), len(data)))
        for part in line_parts(io.BytesIO(data), whole, size)
        for each in read_lines(io.BytesIO(data), part, 2)
        for pair in zip(each.positions, each.payloads, strict=True)
    ]
    everything = read(data)
    assert found == [p for e in everything for p in zip(e.positions, e.payloads, strict=True)]


def test_parts_of_files_larger_than_a_chunk(monkeypatch):
    monkeypatch.setattr(parts, "_CHUNK", 7)
    test_parts_together_are_the_file_with_its_line_numbers()
    test_a_file_that_has_grown_is_read_on_from_where_reading_stopped()
