"""The command line, in this process: what it prints, where, and with which exit code."""

import argparse
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import pytest

from chronon_beam.pipeline import cli

EXAMPLE = Path(__file__).parents[2] / "examples" / "ice_cream"
ICE_CREAM = f"--group_by={EXAMPLE / 'group_by.py'}"
EVENTS = f"--source=file:{EXAMPLE / 'events.jsonl'}"
ALICE = {"customer_id_count_6h": 2, "flavor_last_6h": "olive oil"}
BOB = {"customer_id_count_6h": 1, "flavor_last_6h": "strawberry"}
NOTHING = {"customer_id_count_6h": None, "flavor_last_6h": None}


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[Any]:
        """Every line of stdout, each of which must be one JSON object."""
        return [json.loads(line, parse_constant=pytest.fail) for line in self.out.splitlines()]


Cli = Callable[..., Ran]


@pytest.fixture
def chronon_beam(capsys: pytest.CaptureFixture[str]) -> Cli:
    def run(*argv: str) -> Ran:
        capsys.readouterr()
        try:
            code = cli.main(argv)
        except SystemExit as stop:  # argparse's own way out
            code = int(stop.code or 0)
        return Ran(code, *capsys.readouterr())

    return run


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"--store=sqlite:{tmp_path / 'features.db'}"


@pytest.fixture
def declared(tmp_path: Path) -> Callable[..., str]:
    """A GroupBy of one's own: the flag that names it."""

    def declare(
        aggregations: str = "Aggregation('price', Operation.SUM, [Window(6, TimeUnit.HOURS)])",
        selects: str = "'user', 'price'",
        more: str = "",
        keys: str = "'user'",
    ) -> str:
        file = tmp_path / "own.py"
        file.write_text(
            "from chronon_beam.api import *\n"
            "own = GroupBy(name='t.own', keys=[" + keys + "], aggregations=[" + aggregations + "],"
            "sources=Source(EventSource(Query(select("
            + selects
            + "), time_column='t'"
            + more
            + "))))"
        )
        return f"--group_by={file}"

    return declare


@pytest.fixture
def events(tmp_path: Path) -> Callable[..., str]:
    """Lines as a source: the flag that names it."""

    def write(
        *lines: dict[str, Any] | str, schema: str = "user STRING, price DOUBLE, t BIGINT"
    ) -> str:
        file = tmp_path / "events.jsonl"
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        file.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
        return f"--source=file:{file}?schema={schema}"

    return write


ANN = {"user": "Ann", "price": 2.5, "t": 1000}


@pytest.mark.parametrize(
    ("flags", "written"),
    [
        ([], "5 tiles, 0 late events, 5 writes"),
        (["--tiling=untiled"], "0 tiles, 0 late events, 3 writes"),
        (["--layout=sliding"], "365 tiles, 0 late events, 365 writes"),
        (["--trigger=buffered:9000ms"], "2 tiles, 0 late events, 2 writes"),
    ],
)
def test_example_runs_and_its_features_are_fetched(
    chronon_beam: Cli, store: str, flags: list[str], written: str
) -> None:
    ran = chronon_beam("run", ICE_CREAM, EVENTS, store, *flags)
    assert written in ran.err
    assert (ran.code, ran.out) == (0, "")
    assert "3 events in " in ran.err
    assert "3 rows, 0 events filtered out, 0 dead letters" in ran.err
    assert "chronon-beam fetch --group_by" in ran.err
    fetched = chronon_beam("fetch", ICE_CREAM, store, "--key=customer_id=Alice", "--at=2000")
    assert (fetched.code, fetched.err, fetched.objects) == (0, "", [ALICE])


def test_second_run_into_the_same_store_changes_nothing(chronon_beam: Cli, store: str) -> None:
    for _ in range(2):
        assert chronon_beam("run", ICE_CREAM, EVENTS, store).code == 0
    fetched = chronon_beam("fetch", ICE_CREAM, store, "--key", "customer_id=Alice", "--at", "2000")
    assert fetched.objects == [ALICE]


def test_many_keys_are_fetched_in_the_order_of_the_file(
    chronon_beam: Cli, store: str, tmp_path: Path
) -> None:
    chronon_beam("run", ICE_CREAM, EVENTS, store)
    keys = tmp_path / "keys.jsonl"
    names = ["Bob", "Eve", "Alice"] * 400
    keys.write_text("\n\n".join(json.dumps({"customer_id": name}) for name in names))
    fetched = chronon_beam("fetch", ICE_CREAM, store, f"--keys={keys}", "--at=2000")
    assert fetched.code == 0
    assert fetched.objects == [BOB, NOTHING, ALICE] * 400


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('{"customer_id": "Bob"}\n{"customer_id"', "keys.jsonl:2: not JSON"),
        ("[1]", r"keys.jsonl:1: an object of key columns is expected, found [1]"),
        ('{"customer": "Bob"}', "unknown ['customer']: expected are customer_id (string)"),
    ],
)
def test_bad_line_in_a_file_of_keys_is_named(
    chronon_beam: Cli, store: str, tmp_path: Path, lines: str, message: str
) -> None:
    chronon_beam("run", ICE_CREAM, EVENTS, store)
    keys = tmp_path / "keys.jsonl"
    keys.write_text(lines)
    fetched = chronon_beam("fetch", ICE_CREAM, store, f"--keys={keys}", "--at=2000")
    assert fetched.code == 2
    assert message in fetched.err


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["fetch", "--keys=/no/such"], 2, "--keys=/no/such: no such file"),
        (["fetch", "--key=customer=Alice"], 2, "unknown ['customer']"),
        (["fetch", "--key=Alice"], 2, "--key=Alice: NAME=VALUE is expected, for customer_id"),
        (["fetch", "--key=customer_id=Alice", "--at=noon"], 2, "argument --at: invalid int value"),
        (["fetch"], 2, "one of the arguments --key --keys is required"),
        (["fetch", "--kye=customer_id=Alice"], 2, "--kye: did you mean --key?"),
        (["fetch", "--key=customer_id=Alice", "--att=5"], 2, "--att: did you mean --at?"),
    ],
)
def test_wrong_use_of_fetch(
    chronon_beam: Cli, store: str, argv: list[str], code: int, message: str
) -> None:
    chronon_beam("run", ICE_CREAM, EVENTS, store)
    ran = chronon_beam(*argv, ICE_CREAM, store)
    assert (ran.code, ran.out) == (code, "")
    assert message in ran.err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--store=null:", "--streming"], "unknown flag --streming: did you mean --streaming?"),
        (["--stroe=x"], "the following arguments are required: --store: --stroe: did you mean"),
        (["--store=sqlite:/no/such/folder/f.db"], "there is no folder /no/such/folder"),
        (["--store=sqlit:f.db"], "no store is registered for 'sqlit"),
        (["--store=f.db"], "'f.db' has no scheme: write for example"),
        (["--store=null:", "--source=file:/no/such.jsonl"], "/no/such.jsonl"),
        (["--store=null:", "--trigger=never"], "--trigger: "),
        (["--store=null:", "--tiling=half"], "argument --tiling: invalid choice: 'half'"),
        (["--store=null:", "--group_by=/no/such.py"], "no file /no/such.py"),
        (["--store=null:", "--dead_letters=fiel:x"], "no dead-letter sink is registered for 'fiel"),
    ],
)
def test_wrong_use_of_run_says_what_to_do(
    chronon_beam: Cli, flags: list[str], message: str
) -> None:
    ran = chronon_beam("run", ICE_CREAM, EVENTS, *flags)
    assert message in ran.err
    assert ran.out == ""
    assert ran.code in (1, 2)
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("store", ["sqlit:f.db", "f.db", "sqlite:/no/such/folder/f.db"])
def test_wrong_store_is_told_before_spark_plans(
    chronon_beam: Cli, declared: Callable[..., str], events: Callable[..., str], store: str
) -> None:
    # Spark would refuse the select; it is never asked.
    ran = chronon_beam(
        "run", declared(selects="'user', price='prcie'"), events(ANN), f"--store={store}"
    )
    assert ran.code in (1, 2)
    assert "cannot be resolved" not in ran.err
    assert store.removeprefix("sqlite:") in ran.err


@pytest.mark.parametrize("command", [["run"], ["upload", "--ds=2023-11-14"]])
def test_store_that_is_down_is_told_before_spark_plans(
    chronon_beam: Cli,
    declared: Callable[..., str],
    events: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
) -> None:
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", "localhost:1")
    group_by = declared(selects="'user', price='prcie'")
    store = "--store=bigtable://shop/features?read_wait=300ms"
    ran = chronon_beam(*command, group_by, events(ANN), store)
    assert ran.code == 1
    assert "cannot be resolved" not in ran.err
    assert "look whether the emulator at localhost:1 is up" in ran.err.splitlines()[-1]


def test_no_command_and_a_wrong_one_are_wrong_use(chronon_beam: Cli) -> None:
    assert chronon_beam().code == 2
    ran = chronon_beam("fecth")
    assert ran.code == 2
    assert "fetch" in ran.err


@pytest.mark.parametrize("command", ["run", "fetch", "trace", "plan"])
def test_help_shows_an_example(chronon_beam: Cli, command: str) -> None:
    ran = chronon_beam(command, "--help")
    assert ran.code == 0
    assert f"example:\n  chronon-beam {command} --group_by examples/ice_cream" in ran.out
    assert all(len(line) <= 100 for line in ran.out.splitlines() if "usage" not in line)


def test_store_that_no_job_has_written_is_a_failed_check(chronon_beam: Cli, store: str) -> None:
    ran = chronon_beam("fetch", ICE_CREAM, store, "--key=customer_id=Alice")
    assert (ran.code, ran.out) == (1, "")
    assert "run a job with --store=sqlite:" in ran.err


def test_file_that_is_no_store_is_told(chronon_beam: Cli, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("this is a text of some length, and it is no database at all\n" * 50)
    ran = chronon_beam("fetch", ICE_CREAM, f"--store=sqlite:{text}", "--key=customer_id=Alice")
    assert (ran.code, ran.out) == (1, "")
    assert "notes.txt" in ran.err


def test_fetch_of_another_group_by_says_to_run_it_first(
    chronon_beam: Cli, store: str, declared: Callable[..., str]
) -> None:
    chronon_beam("run", ICE_CREAM, EVENTS, store)
    ran = chronon_beam("fetch", declared(), store, "--key=user=Ann")
    assert ran.code == 2
    assert "nothing of GroupBy 't.own': run the job first" in ran.err


def test_changed_aggregations_are_refused_with_the_remedy(
    chronon_beam: Cli, store: str, declared: Callable[..., str], events: Callable[..., str]
) -> None:
    assert chronon_beam("run", declared(), events(ANN), store).code == 0
    changed = declared("Aggregation('price', Operation.MAX, [Window(6, TimeUnit.HOURS)])")
    ran = chronon_beam("run", changed, events(ANN), store)
    assert ran.code == 2
    assert "holds data with schema another" in ran.err
    assert "rename the GroupBy, or use another store" in ran.err
    ran = chronon_beam("fetch", changed, store, "--key=user=Ann", "--at=2000")
    assert ran.code == 2
    assert "written with other aggregations" in ran.err
    fetched = chronon_beam("fetch", declared(), store, "--key=user=Ann", "--at=2000")
    assert fetched.objects == [{"price_sum_6h": 2.5}]


def test_composite_keys_and_values_of_all_shapes(
    chronon_beam: Cli, store: str, declared: Callable[..., str], events: Callable[..., str]
) -> None:
    six = "[Window(6, TimeUnit.HOURS)]"
    group_by = declared(
        f"Aggregation('price', Operation.TOP_K(3), {six}),"
        f"Aggregation('price', Operation.SUM, {six}, ['city']),"
        f"Aggregation('raw', Operation.LAST, {six})",
        "'user', 'shop', 'city', 'raw', price='CAST(price AS DOUBLE)'",
        keys="'user', 'shop'",
    )
    schema = "user STRING, shop INT, price STRING, city STRING, raw BINARY, t BIGINT"
    one = {"user": "Ann", "shop": 7, "price": "NaN", "city": "São Paulo", "raw": "/w==", "t": 1000}
    two = {**one, "price": "3.5", "city": "x", "t": 1001}
    source = events(one, two, schema=schema)
    assert chronon_beam("run", group_by, source, store).code == 0
    ran = chronon_beam("fetch", group_by, store, "--key=shop=7", "--key=user=Ann", "--at=2000")
    assert ran.objects == [
        {
            "price_top3_6h": [None, 3.5],
            "price_sum_6h_by_city": {"São Paulo": None, "x": 3.5},
            "raw_last_6h": "/w==",
        }
    ]
    assert "São Paulo" in ran.out


def test_bad_events_go_to_the_dead_letters_and_the_others_on(
    chronon_beam: Cli,
    store: str,
    tmp_path: Path,
    declared: Callable[..., str],
    events: Callable[..., str],
) -> None:
    dead = tmp_path / "dead.jsonl"
    group_by = declared(more=", wheres=['price > 0']")
    source = events(
        ANN,
        "{not json",
        {**ANN, "price": "a lot"},
        {**ANN, "t": None},
        {**ANN, "price": -1.0},
        ANN,
    )
    ran = chronon_beam("run", group_by, source, store, f"--dead_letters=file:{dead}")
    assert ran.code == 0
    assert "2 rows, 1 events filtered out, 3 dead letters" in ran.err
    letters = [json.loads(line) for line in dead.read_text(encoding="utf-8").splitlines()]
    assert sorted(letter["position"] for letter in letters) == [2, 3, 4]
    by_position = {letter["position"]: letter for letter in letters}
    assert by_position[2]["step"] == "Decode"
    assert "the time column is null" in by_position[4]["reason"]
    fetched = chronon_beam("fetch", group_by, store, "--key=user=Ann", "--at=2000")
    assert fetched.objects == [{"price_sum_6h": 5.0}]


def test_job_that_breaks_has_failed_without_a_traceback(
    chronon_beam: Cli, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(pipeline: beam.Pipeline, *_: Any) -> None:
        _ = pipeline | beam.Create([0]) | beam.Map(lambda zero: 1 // zero)

    monkeypatch.setattr("chronon_beam.pipeline.run.build", broken)
    ran = chronon_beam("run", ICE_CREAM, EVENTS, store)
    assert (ran.code, ran.out) == (1, "")
    assert "chronon-beam: the job failed: ZeroDivisionError: " in ran.err
    assert "Traceback" not in ran.err.rpartition("chronon-beam: ")[2]


@pytest.mark.parametrize("command", ["run", "trace", "plan"])
def test_unknown_column_shows_sparks_suggestion(
    chronon_beam: Cli, declared: Callable[..., str], events: Callable[..., str], command: str
) -> None:
    group_by = declared(selects="'user', price='prcie * 2'")
    store = ["--store=null:"] if command == "run" else []
    ran = chronon_beam(command, group_by, events(ANN), *store)
    assert (ran.code, ran.out) == (2, "")
    assert "`prcie` cannot be resolved" in ran.err
    assert "Did you mean" in ran.err
    assert "`price`" in ran.err


def test_syntax_error_shows_the_place(
    chronon_beam: Cli, declared: Callable[..., str], events: Callable[..., str]
) -> None:
    ran = chronon_beam("plan", declared(selects="'user', price='price +'"), events(ANN))
    assert ran.code == 2
    assert "price +" in ran.err
    assert "^^^" in ran.err


def test_time_that_is_no_number_is_refused_with_the_remedy(
    chronon_beam: Cli, declared: Callable[..., str], events: Callable[..., str]
) -> None:
    source = events(ANN, schema="user STRING, price DOUBLE, t TIMESTAMP")
    ran = chronon_beam("plan", declared(), source)
    assert ran.code == 2
    assert "milliseconds since the epoch are expected; write for example unix_millis" in ran.err


def test_plan_for_people(chronon_beam: Cli) -> None:
    ran = chronon_beam("plan", ICE_CREAM)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[0] == "ice_cream.ice_cream_group_by  (dialect airbnb)"
    assert "tile      5 min: window 6h has the smallest tail hop" in ran.out
    assert "1 writes an event, 73 tiles a request" in ran.out
    assert "add --source to see the types" in ran.out


@pytest.mark.parametrize(
    ("flags", "warning"),
    [
        (["--runner=FlinkRunner", "--object_reuse=true"], "--object_reuse=true: the job server"),
        (["--runner_config=flink_cluster", "--environment_type=LOOPBACK"], "ends with this launch"),
        (["--runner_config=flink_cluster", EVENTS], "Flink keeps the job open"),
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


def test_trace_follows_each_event(chronon_beam: Cli) -> None:
    ran = chronon_beam("trace", ICE_CREAM, EVENTS)
    assert (ran.code, ran.err) == (0, "")
    first, _, third = ran.objects
    assert first["position"].endswith("events.jsonl@1")
    assert first["1_source"]["ice_cream_flavor"] == "chocolate"
    assert third["2_evaluate"] == {"customer_id": "Alice", "flavor": "olive oil", "ts": 1500}
    assert third["3_window"]["key"] == {"customer_id": "Alice"}
    assert third["3_window"]["pre_aggregates"] == {
        "customer_id_count": 2,
        "flavor_last": "olive oil",
    }
    request = third["4_convert"]["PutRequest"]
    assert (request["dataset"], request["tsMillis"]) == (
        "ICE_CREAM_ICE_CREAM_GROUP_BY_STREAMING",
        1500,
    )
    assert third["5_write"]["tile_start_ms"] == 0


def test_interrupted_command_has_failed(chronon_beam: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_plan", interrupted)
    ran = chronon_beam("plan", ICE_CREAM)
    assert (ran.code, ran.err) == (1, "chronon-beam: stopped\n")


def test_next_command_can_be_pasted_into_a_shell() -> None:
    store = "bigtable://shop/features?max_age=none&wait=1m"
    given = argparse.Namespace(group_by="my group.py", store=store)
    words = shlex.split(cli._next_steps(given, ["user"]).splitlines()[0])
    assert words[-6:] == ["--group_by", "my group.py", "--store", store, "--key", "user=..."]
    assert f"'{store}'" in cli._next_steps(given, ["user"])
