import json
import logging
from concurrent.futures import ThreadPoolExecutor

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.window import FixedWindows
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.api.records import Failure
from chronon_beam.io.dead_letters import (
    RateLimit,
    append_lines,
    from_line,
    open_dead_letters,
    to_line,
)

BAD = Failure("Decode", "not JSON", b"{bad", "a.jsonl", 3)


def run(sink: beam.PTransform, failures: list[Failure], *, streaming: bool = False) -> dict:
    root = beam.Pipeline(runner=FnApiRunner(), options=PipelineOptions(streaming=streaming))
    _ = root | "Failures" >> beam.Create(failures) | "DeadLetters" >> sink
    result = root.run()
    result.wait_until_finish()
    counters = result.metrics().query()["counters"]
    return {each.key.metric.name: each.committed for each in counters}


def test_line_is_one_json_object():
    assert json.loads(to_line(BAD, 1_700_000_000.25)) == {
        "step": "Decode",
        "reason": "not JSON",
        "payload": "{bad",
        "source": "a.jsonl",
        "position": 3,
        "time": "2023-11-14T22:13:20.250Z",
    }


def test_payload_that_is_no_text_is_base64():
    line = json.loads(to_line(BAD._replace(payload=b"\xff\0"), 0.0))
    assert line["payload_base64"] == "/wA="
    assert "payload" not in line


@given(
    st.builds(
        Failure,
        st.text(),
        st.text(),
        st.binary() | st.text().map(str.encode),
        st.text(),
        st.integers(),
    )
)
def test_line_holds_the_whole_failure(failure):
    line = to_line(failure, 0.0)
    assert line.count(b"\n") == 1
    assert from_line(line) == failure


def test_odd_file_names_are_no_obstacle():
    failure = BAD._replace(source="odd\udcff.jsonl")
    assert from_line(to_line(failure, 0.0)) == failure


@pytest.mark.parametrize("line", [b"{}", b"[]", b"not json", b'{"payload": 3}'])
def test_other_lines_are_refused(line):
    with pytest.raises(ValueError, match=r"no dead letter|Expecting"):
        from_line(line)


@pytest.mark.parametrize("streaming", [False, True])
def test_file_holds_each_failure(tmp_path, streaming):
    failures = [BAD._replace(position=i) for i in range(2500)]
    path = tmp_path / "dead.jsonl"
    run(open_dead_letters(f"file:{path}"), failures, streaming=streaming)
    found = [from_line(line) for line in path.read_bytes().splitlines()]
    assert sorted(found) == failures


def test_jobs_add_to_what_is_there(tmp_path):
    path = tmp_path / "dead.jsonl"
    for number in range(1, 4):
        run(open_dead_letters(f"file:{path}"), [BAD])
        assert [from_line(line) for line in path.read_bytes().splitlines()] == [BAD] * number
    run(open_dead_letters(f"file:{path}"), [])
    assert len(path.read_bytes().splitlines()) == 3


def test_line_that_a_killed_job_left_is_not_mixed_with_another(tmp_path):
    path = tmp_path / "dead.jsonl"
    path.write_bytes(to_line(BAD, 0.0) + to_line(BAD, 0.0)[:20])
    run(open_dead_letters(f"file:{path}"), [BAD])
    assert from_line(path.read_bytes().splitlines()[2]) == BAD


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
    assert [from_line(line) for line in path.read_bytes().splitlines()] == [BAD]


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
        ("fiel:{}/a", ValueError, "no dead-letter sink is registered"),
    ],
)
def test_wrong_uri_stops_the_build(tmp_path, uri, error, message):
    with pytest.raises(error, match=message):
        open_dead_letters(uri.format(tmp_path))


def test_without_a_uri_failures_are_logged(caplog):
    with caplog.at_level(logging.WARNING, logger="chronon_beam.io.dead_letters"):
        run(open_dead_letters(), [BAD, BAD._replace(step="Write")])
    assert "dead letter from Decode, a.jsonl at 3: not JSON" in caplog.text


def test_log_shows_the_first_few_and_then_one_a_minute():
    now = [0.0]
    limit = RateLimit(first=2, period_s=60, clock=lambda: now[0])
    shown = []
    for second in range(130):
        now[0] = second
        if line := limit.line(BAD):
            shown.append((second, line.partition("not JSON")[2]))
    assert shown == [
        (0, ""),
        (1, ""),
        (61, " (60 since the last such line)"),
        (121, " (60 since the last such line)"),
    ]
