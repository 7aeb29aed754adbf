"""Beam's answers are the same when it is asked once, and they are asked for once."""

from collections.abc import Iterator

import apache_beam as beam
import pytest
from apache_beam.coders import BytesCoder
from apache_beam.options.pipeline_options import DebugOptions, PipelineOptions, StandardOptions
from apache_beam.transforms import userstate
from apache_beam.transforms.core import CallableWrapperDoFn
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from construction import ask_once

beams_view_as = PipelineOptions.view_as
beams_specs = userstate.get_dofn_specs
_CLOSING = TimerSpec("closing", beam.TimeDomain.WATERMARK)
LOG = beam.DoFn.StateParam(BagStateSpec("log", BytesCoder()))
CLOSING = beam.DoFn.TimerParam(_CLOSING)


class Keeps(beam.DoFn):
    """Has a state and a timer."""

    def process(self, element: bytes, log=LOG) -> Iterator[bytes]:
        yield element

    @on_timer(_CLOSING)
    def close(self, closing=CLOSING) -> None:
        """Closes."""


class Unhashable(Keeps):
    """Is equal to its like."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unhashable)


@pytest.fixture(autouse=True)
def asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PipelineOptions, "view_as", beams_view_as)
    monkeypatch.setattr(userstate, "get_dofn_specs", beams_specs)
    ask_once()


def test_views_share_values_whoever_sets_them() -> None:
    options = PipelineOptions(["--streaming", "--experiments=a"], runner="DirectRunner")
    standard = options.view_as(StandardOptions)
    assert (standard.streaming, standard.runner) == (True, "DirectRunner")
    assert options.view_as(StandardOptions) is standard
    options.view_as(DebugOptions).add_experiment("b")
    standard.view_as(StandardOptions).streaming = False
    assert options.view_as(DebugOptions).experiments == ["a", "b"]
    assert not standard.streaming
    assert options.get_all_options(drop_default=True) == {
        "experiments": ["a", "b"],
        "runner": "DirectRunner",
    }


def test_options_of_another_pipeline_are_others() -> None:
    ours, theirs = PipelineOptions(["--experiments=a"]), PipelineOptions(["--experiments=a"])
    ours.view_as(DebugOptions).add_experiment("b")
    assert theirs.view_as(DebugOptions).experiments == ["a"]


@pytest.mark.parametrize("dofn", [Keeps(), Unhashable(), CallableWrapperDoFn(len)])
def test_states_and_timers_are_those_that_beam_finds(dofn: beam.DoFn) -> None:
    for _ in range(2):
        states, timers = userstate.get_dofn_specs(dofn)
        assert (states, timers) == beams_specs(dofn)
        states.clear()
        timers.clear()


def test_a_pipeline_makes_each_view_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(
        "construction._view_as",
        lambda options, kind: made.append((id(options), kind)) or beams_view_as(options, kind),
    )
    options = PipelineOptions([])
    created = beam.Pipeline(options=options) | beam.Create([1])
    for number in range(9):
        created |= str(number) >> beam.Map(str)
    assert made
    assert len(made) == len(set(made))
