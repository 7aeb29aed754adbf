"""Letters in a file of JSON lines."""

import json
import re
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.window import FixedWindows
from hypothesis import given
from letters import BAD, letter, letters, run

from chronon_beam.api.records import Failure
from chronon_beam.io.dead_letters.file import FileDeadLetters, FileWriter, append_lines
from chronon_beam.io.dead_letters.json_line import from_line, to_line
from chronon_beam.io.dead_letters.letter import Letter
from chronon_beam.io.dead_letters.sinks import open_dead_letters


def failures_in(path: Path) -> list[Failure]:
    return [from_line(line).failure for line in path.read_bytes().splitlines()]


def test_line_is_one_json_object() -> None:
    assert json.loads(to_line(letter(BAD))) == {
        "step": "Decode",
        "error": "DecodeError",
        "reason": "not JSON",
        "payload": "{bad",
        "source": "a.jsonl",
        "position": 3,
        "time": "2023-11-14T22:13:20.250Z",
        "form": "message",
        "group_by": "t.g",
        "run": "run-1",
        "size": 4,
    }


def test_bytes_that_are_no_text_are_base64() -> None:
    failure = BAD._replace(payload=b"\xff\0", key=b"\xff", headers=[("h", b"1"), ("h", None)])
    line = json.loads(to_line(letter(failure)))
    assert (line["payload_base64"], line["key_base64"]) == ("/wA=", "/w==")
    assert line["headers"] == [{"name": "h", "value": "1"}, {"name": "h", "value": None}]
    assert "payload" not in line


@given(letters)
def test_line_holds_the_whole_letter(written: Letter) -> None:
    line = to_line(written)
    assert line.count(b"\n") == 1
    assert from_line(line) == written


def test_odd_file_names_are_no_obstacle() -> None:
    written = letter(BAD._replace(source="odd\udcff.jsonl"))
    assert from_line(to_line(written)) == written


def test_lines_of_earlier_versions_are_read() -> None:
    line = b'{"step": "Decode", "reason": "r", "payload": "p", "source": "s", "position": 1, '
    read = from_line(line + b'"time": "2023-11-14T22:13:20.250Z"}')
    assert (read.failure, read.size) == (Failure("Decode", "r", b"p", "s", 1), 1)
    assert read.failed_ms == 1_700_000_000_250


@pytest.mark.parametrize("line", [b"{}", b"[]", b"not json", b'{"payload": 3}'])
def test_other_lines_are_refused(line):
    with pytest.raises(ValueError, match=r"no dead letter|Expecting"):
        from_line(line)


@pytest.mark.parametrize("streaming", [False, True])
def test_file_holds_each_failure(tmp_path, streaming):
    failures = [BAD._replace(position=i) for i in range(2500)]
    path = tmp_path / "dead.jsonl"
    run(open_dead_letters(f"file:{path}"), failures, streaming=streaming)
    assert sorted(failures_in(path)) == failures
    assert [each.failure for each in open_dead_letters(f"file:{path}").read()] == failures_in(path)


def test_jobs_add_to_what_is_there(tmp_path):
    path = tmp_path / "dead.jsonl"
    for number in range(1, 4):
        run(open_dead_letters(f"file:{path}"), [BAD])
        assert failures_in(path) == [BAD] * number
    run(open_dead_letters(f"file:{path}"), [])
    assert len(path.read_bytes().splitlines()) == 3


def test_line_that_a_killed_job_left_is_not_mixed_with_another(tmp_path):
    path = tmp_path / "dead.jsonl"
    path.write_bytes(to_line(letter(BAD)) + to_line(letter(BAD))[:20])
    sink = open_dead_letters(f"file:{path}")
    run(sink, [BAD])
    assert [each.failure for each in sink.read()] == [BAD, BAD]


@pytest.mark.parametrize("content", [b"{}\n", b'{"user": 1}', b"\n", b"\xff\0"])
def test_file_of_other_things_is_left_alone(tmp_path, content):
    path = tmp_path / "events.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="holds other things than dead letters"):
        open_dead_letters(f"file:{path}")
    assert path.read_bytes() == content


def test_job_without_failures_leaves_an_empty_file(tmp_path):
    path = tmp_path / "dead.jsonl"
    run(open_dead_letters(f"file:{path}"), [])
    assert path.read_bytes() == b""


def test_failures_in_windows_are_written_too(tmp_path):
    path = tmp_path / "dead.jsonl"
    with beam.Pipeline(runner=FnApiRunner()) as root:
        _ = (
            root
            | "Failures" >> beam.Create([BAD])
            | beam.WindowInto(FixedWindows(60))
            | "DeadLetters" >> open_dead_letters(f"file:{path}")
        )
    assert failures_in(path) == [BAD]


def test_lines_of_several_writers_do_not_mix(tmp_path):
    path = str(tmp_path / "dead.jsonl")

    def work(thread: int) -> None:
        for _ in range(20):
            append_lines(path, [b"%d" % thread * 200 + b"\n"] * 50)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    with open(path, "rb") as file:
        found = file.read().splitlines()
    assert len(found) == 4000
    assert {len(set(line)) for line in found} == {1}
    assert {len(line) for line in found} == {200}


@pytest.mark.parametrize(
    ("uri", "error", "message"),
    [
        ("file:{}/no/dead.jsonl", FileNotFoundError, "there is no folder"),
        ("file:{}", IsADirectoryError, "is a folder"),
        ("file:{}/a?append=true", ValueError, "append"),
        ("file:{}/a?max_bytes=0", ValueError, "how many bytes"),
        ("sqlite:{}/no/dead.db", FileNotFoundError, "there is no folder"),
        ("sqlite:{}", IsADirectoryError, "is a folder"),
        ("kafka://broker/dead", ValueError, "must name brokers with their ports"),
        ("kafka://broker:9092/a,b", ValueError, "need one topic"),
        ("kafka://broker:9092/a?start=end", ValueError, "start"),
        ("fiel:{}/a", ValueError, "no dead-letter sink is registered"),
    ],
)
def test_wrong_uri_stops_the_build(tmp_path, uri, error, message):
    with pytest.raises(error, match=message):
        open_dead_letters(uri.format(tmp_path))


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """Within the context no file can become longer than that."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_a_full_disk_cuts_spoils_no_letter_after_it(tmp_path: Path) -> None:
    path = tmp_path / "dead.jsonl"
    writer, written = FileWriter(str(path)), [letter(BAD)] * 3
    with disk_of(300), pytest.raises(OSError, match=re.escape(str(path))):
        writer.write(written)
    writer.write(written)  # the bundle comes again
    read = list(FileDeadLetters(str(path)).read())
    assert read[-3:] == written
    assert set(read) == set(written)
