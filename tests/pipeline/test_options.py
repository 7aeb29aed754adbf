"""Flags: what they give, and what is said of those that make no sense."""

import argparse

import pytest

from chronon_beam.io.live import LiveSettings
from chronon_beam.pipeline import options as flags
from chronon_beam.pipeline.max_dead import MaxDead
from chronon_beam.pipeline.options import UsageError, check_flags, job_options
from chronon_beam.pipeline.run_flags import one_by_one
from chronon_beam.pipeline.runners import beam_flags
from chronon_beam.pipeline.runners.latency import LEVELS
from chronon_beam.transforms.tiling.settings import Late, Tiling
from chronon_beam.transforms.tiling.triggers import Trigger

REQUIRED = ["--group_by=g.py", "--source=file:e.jsonl", "--store=sqlite:f.db"]


def parsed(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    flags.add_group_by(parser)
    flags.add_source(parser, required=False)
    flags.add_live(parser)
    flags.add_store(parser)
    flags.add_dead_letters(parser)
    flags.add_losses(parser)
    flags.add_existing(parser)
    flags.add_tiling(parser)
    flags.add_runner(parser)
    return parser.parse_args([*REQUIRED, *given])


def test_defaults_are_chronons_tiles_for_every_event() -> None:
    options = job_options(parsed())
    assert (options.layout, options.tiling) == ("tumbling", Tiling(Trigger(), 0, Late.REPAIR, 1))
    assert (options.dead_letters, options.dialect) == (None, None)
    assert (options.max_dead, options.allow_unread) == (MaxDead(None, 50, 100), False)


def test_shards_are_as_many_as_the_runner_has_use_for() -> None:
    on_flink = job_options(parsed("--runner=FlinkRunner")).tiling
    assert on_flink == Tiling()
    assert on_flink.shards == 4


def test_a_command_of_one_group_by_refuses_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("--group_by=h.py")
    assert "--group_by: this command takes one GroupBy: call it for each" in capsys.readouterr().err


def test_flags_are_those_of_each_of_several_group_bys() -> None:
    parser = argparse.ArgumentParser()
    flags.add_group_by(parser, several=True)
    flags.add_store(parser)
    given = parser.parse_args(["--group_by=a.py", "--store=null:", "--group_by=b.py"])
    assert [vars(one) for one in one_by_one(given)] == [
        {"group_by": place, "store": "null:", "dialect": None} for place in ("a.py", "b.py")
    ]
    given.group_by.append("a.py")
    with pytest.raises(UsageError, match=r"--group_by=a\.py: it is given twice"):
        one_by_one(given)


def test_flags_become_options() -> None:
    options = job_options(
        parsed(
            "--dialect=zipline",
            "--layout=sliding",
            "--trigger=buffered:250ms",
            "--late=dead_letter",
            "--allowed_lateness_ms=60000",
            "--shards=16",
            "--dead_letters=file:d.jsonl",
            "--max_dead=2.5%",
            "--allow_unread",
        )
    )
    assert options.group_by == "g.py"
    assert (options.dialect, options.layout) == ("zipline", "sliding")
    assert options.tiling == Tiling(Trigger(250), 60_000, Late.DEAD_LETTER, 16)
    assert options.dead_letters == "file:d.jsonl"
    assert (options.max_dead, options.allow_unread) == (MaxDead(None, 2.5, 0), True)


def test_latency_decides_how_long_events_wait() -> None:
    options = job_options(parsed("--latency=low", "--idle_ms=7", "--max_out_of_orderness_ms=8"))
    assert options.latency == LEVELS["low"]
    assert options.live == LiveSettings(disorder_ms=8, idle_ms=7, linger_ms=LEVELS["low"].linger_ms)


def test_a_target_is_a_latency_too() -> None:
    options = job_options(parsed("--latency=1s"))
    assert options.live.linger_ms == options.latency.linger_ms
    assert LEVELS["balanced"].bundle_ms < options.latency.bundle_ms < LEVELS["cheap"].bundle_ms


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("lowest", "'lowest' is neither low, balanced, cheap nor a target such as 50ms"),
        ("50", "'50' is neither low"),
        ("29ms", "a target of 29ms is out of reach: 30ms to 60s is expected"),
        ("61s", "a target of 61s is out of reach"),
    ],
)
def test_a_latency_that_makes_no_sense_is_refused(given: str, message: str) -> None:
    with pytest.raises(argparse.ArgumentError, match=message):
        parsed(f"--latency={given}")


def test_untiled_jobs_have_no_tiling() -> None:
    assert job_options(parsed("--tiling=untiled")).tiling is None


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--trigger=sometimes", "--trigger: "),
        ("--trigger=buffered:", "--trigger: "),
        ("--shards=0", "--shards=0: 1 to 4096 is expected"),
        ("--shards=5000", "--shards=5000"),
        ("--allowed_lateness_ms=-1", "--allowed_lateness_ms=-1: must not be negative"),
        ("--idle_ms=-1", "--idle_ms=-1: must not be negative"),
        ("--max_out_of_orderness_ms=-1", "--max_out_of_orderness_ms=-1: must not be negative"),
        ("--kafka_bootstrap=b:1", "--kafka_bootstrap: --source says where its brokers are"),
    ],
)
def test_value_that_makes_no_sense_is_named(flag: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"^{message}"):
        job_options(parsed(flag))


@pytest.mark.parametrize("flag", ["--tiling=some", "--layout=x", "--late=x", "--dialect=lyft"])
def test_choice_that_does_not_exist_is_refused(flag: str) -> None:
    with pytest.raises(argparse.ArgumentError, match="invalid choice"):
        parsed(flag)


def test_misspelt_flag_names_the_nearest() -> None:
    known = beam_flags.known("DirectRunner")
    check_flags(["--streaming", "--direct_num_workers=2", "value"], known)
    with pytest.raises(UsageError, match="unknown flag --streming: did you mean --streaming"):
        check_flags(["--streming"], known)
    with pytest.raises(UsageError, match="unknown flag --zzzzzz: see --help"):
        check_flags(["--zzzzzz=1"], known)


def test_flinks_flags_are_known_on_flink_only() -> None:
    assert "--checkpointing_interval" in beam_flags.known("FlinkRunner")
    assert "--checkpointing_interval" not in beam_flags.known("DirectRunner")
