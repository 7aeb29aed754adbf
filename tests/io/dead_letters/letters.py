"""Letters for tests: drawn ones, and sinks that are run as jobs run them."""

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from hypothesis import strategies as st

from chronon_beam.api.records import Failure, Form
from chronon_beam.io.dead_letters.letter import Letter, Origin, letter_of
from chronon_beam.io.dead_letters.sinks import DeadLetters

BAD = Failure("Decode", "not JSON", b"{bad", "a.jsonl", 3, Form.MESSAGE)
ORIGIN = Origin("t.g", "run-1")

payloads = st.binary(max_size=50) | st.text(max_size=50).map(lambda text: text.encode())
texts = st.text(st.characters(codec="utf-8"), max_size=20)
failures = st.builds(
    Failure,
    texts,
    texts,
    payloads,
    texts,
    st.integers(-1, 2**62),
    st.sampled_from(Form),
    st.none() | payloads,
    st.lists(st.tuples(texts, st.none() | payloads), max_size=3).map(tuple),
    st.none() | st.integers(-(2**62), 2**62),
    texts,
    st.integers(0, 2**40),
)
times_ms = st.integers(-62_135_596_800_000, 253_402_300_799_999)


def letter(failure: Failure = BAD, failed_ms: int = 1_700_000_000_250) -> Letter:
    return letter_of(failure, ORIGIN, failed_ms)


letters = st.builds(letter, failures, times_ms)


def run(sink: beam.PTransform, failures: list[Failure], *, streaming: bool = False) -> None:
    """Give failures to a sink, as a job does."""
    if isinstance(sink, DeadLetters):
        sink.origin = ORIGIN
    options = PipelineOptions([], streaming=streaming)
    with beam.Pipeline(runner=FnApiRunner(), options=options) as root:
        _ = root | "Failures" >> beam.Create(failures) | "DeadLetters" >> sink
