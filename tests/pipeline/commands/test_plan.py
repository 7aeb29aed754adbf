"""`chronon-beam plan`, and what Spark refuses."""

from pathlib import Path

import pytest
from command_line import ANN, EVENTS, ICE_CREAM, Cli, Flag


@pytest.mark.parametrize("command", ["run", "trace", "plan"])
def test_unknown_column_shows_sparks_suggestion(
    chronon_beam: Cli, declared: Flag, events: Flag, command: str
) -> None:
    group_by = declared(selects="'user', price='prcie * 2'")
    store = ["--store=null:"] if command == "run" else []
    ran = chronon_beam(command, group_by, events(ANN), *store)
    assert (ran.code, ran.out) == (2, "")
    assert "`prcie` cannot be resolved" in ran.err
    assert "Did you mean" in ran.err
    assert "`price`" in ran.err


def test_syntax_error_shows_the_place(chronon_beam: Cli, declared: Flag, events: Flag) -> None:
    ran = chronon_beam("plan", declared(selects="'user', price='price +'"), events(ANN))
    assert ran.code == 2
    assert "price +" in ran.err
    assert "^^^" in ran.err


def test_time_that_is_not_a_number_is_refused_with_the_remedy(
    chronon_beam: Cli, declared: Flag, events: Flag
) -> None:
    source = events(ANN, schema="user STRING, price DOUBLE, t TIMESTAMP")
    ran = chronon_beam("plan", declared(), source)
    assert ran.code == 2
    assert "milliseconds since the epoch are expected: write unix_millis(t)" in ran.err


def test_plan_for_people(chronon_beam: Cli) -> None:
    ran = chronon_beam("plan", ICE_CREAM)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[0] == "ice_cream.group_by.ice_cream_group_by  (dialect airbnb)"
    assert "tile      5 min: window 6h has the smallest tail hop" in ran.out
    assert "1 writes per event, 73 tiles per request" in ran.out
    assert "add --source to see the types" in ran.out


def test_plan_says_what_closes_tiles(chronon_beam: Cli) -> None:
    ran = chronon_beam("plan", ICE_CREAM, EVENTS)
    assert "  closing   tiles close when all is read: no event is late" in ran.out.splitlines()


@pytest.mark.parametrize(
    ("flags", "warning"),
    [
        (["--runner=FlinkRunner", "--object_reuse=true"], "--object_reuse=true: the job server"),
        (["--runner_config=flink_cluster", "--environment_type=LOOPBACK"], "ends with this launch"),
    ],
)
def test_plan_warns_of_flags_that_would_harm_the_job(
    chronon_beam: Cli, flags: list[str], warning: str
) -> None:
    ran = chronon_beam("plan", ICE_CREAM, *flags)
    assert (ran.code, ran.err) == (0, "")
    (line,) = [line for line in ran.out.splitlines() if "warning: --" in line]
    assert warning in line


def test_plan_takes_the_flags_of_run_and_no_others(chronon_beam: Cli) -> None:
    flags = ["--runner_config=flink_cluster", "--store=null:", "--trigger", "every_event"]
    ran = chronon_beam("plan", ICE_CREAM, *flags)
    assert ran.code == 0
    assert "warning: --" not in ran.out
    ran = chronon_beam("plan", ICE_CREAM, "--runner=FlinkRunner", "--paralelism=2")
    assert ran.code == 2
    assert "unknown flag --paralelism: did you mean --parallelism?" in ran.err


def test_plan_for_programs(chronon_beam: Cli) -> None:
    ran = chronon_beam("plan", ICE_CREAM, EVENTS, "--json")
    (plan,) = ran.objects
    assert plan["schemas"]["columns"] == {
        "customer_id": "string",
        "flavor": "string",
        "ts": "long",
    }
    assert plan["tile"]["size_ms"] == 300_000


SUM = "Aggregation('price', Operation.SUM, [Window(6, TimeUnit.HOURS)])"
MAX = SUM.replace("SUM", "MAX")
LAST_2 = "Aggregation('price', Operation.LAST_K(2), [Window(6, TimeUnit.HOURS)])"
DAYS = SUM.replace("6, TimeUnit.HOURS", "30, TimeUnit.DAYS")


def test_plan_says_what_becomes_of_the_features_in_a_store(
    chronon_beam: Cli, declared: Flag, events: Flag, store: str
) -> None:
    def planned(aggregations: str, code: int = 0, *more: str) -> str:
        ran = chronon_beam("plan", declared(aggregations), events(ANN), store, *more)
        assert (ran.code, ran.err) == (code, "")
        return "".join(line for line in ran.out.splitlines(keepends=True) if "  store  " in line)

    file = Path(store.partition(":")[2])
    anew = "  store     none of its data stays there: all features begin anew\n"
    assert planned(SUM) == anew
    assert not file.exists()
    assert chronon_beam("run", declared(f"{SUM}, {LAST_2}"), events(ANN), store).code == 0
    written = file.read_bytes()
    assert planned(f"{SUM}, {LAST_2}") == (
        "  store     its features are those of the job before it\n"
    )
    assert planned(f"{SUM}, {MAX}") == (
        "  store     price_max_6h is new: it counts from now on, and is whole in 6h; an upload "
        "gives the rest\n"
        "  store     no longer computed: price_last2_6h\n"
    )
    assert "refused: t.own: the store holds data with tile_sizes_ms [300000]" in planned(DAYS, 1)
    assert planned(DAYS, 0, "--existing=replace") == anew
    assert file.read_bytes() == written


def test_plan_says_to_programs_what_a_store_would_refuse(
    chronon_beam: Cli, declared: Flag, events: Flag, store: str
) -> None:
    assert chronon_beam("run", declared(SUM), events(ANN), store).code == 0
    ran = chronon_beam("plan", declared(DAYS), events(ANN), store, "--json")
    (found,) = ran.objects
    assert (ran.code, found["store"]["stays"], found["store"]["notes"]) == (1, True, [])
    assert "tile_sizes_ms" in found["store"]["refused"]
