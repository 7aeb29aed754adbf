"""What `chronon-beam jobs status` says of counts, lag and freshness, from Flink's metrics."""

from urllib.parse import quote

from answering import JOB, ORDERS, Flink, Given, job
from command_line import Cli

VERTEX = f"/jobs/{JOB}/vertices/5eb9"
METRICS = f"{VERTEX}/subtasks/metrics"
STEP = "[2]shop_orders_v1/{Rows__DeadLetters0__.chronon_feature_group_shop_orders_v1_"
NAMES = [STEP + name for name in ("messages", "rows", "deserialization_errors", "read_lag")]
OTHERS = ["numRecordsIn", f"{STEP}multiput_time", "[2]a/{B}.chronon_feature_group_other_messages"]


def of_subtasks(subtasks: str, *numbers: tuple[int, int]) -> dict[tuple[str, str], Given]:
    """The answer to the question for sums and maxima over some subtasks."""
    asked = ",".join(quote(name, safe="") for name in NAMES)
    answer = [
        {"id": name, "sum": float(total), "max": float(most)}
        for name, (total, most) in zip(NAMES, numbers, strict=True)
    ]
    path = f"{METRICS}?agg=sum,max&subtasks={subtasks}&get={asked}"
    return {("GET", path): Given(answer)}


def vertex(*task_managers: str) -> dict[tuple[str, str], Given]:
    """The answers about a vertex whose subtasks run in these TaskManagers."""
    subtasks = [{"subtask": i, "taskmanager-id": each} for i, each in enumerate(task_managers)]
    return {
        ("GET", METRICS): Given([{"id": name} for name in (*NAMES, *OTHERS)]),
        ("GET", VERTEX): Given({"subtasks": subtasks}),
    }


def test_counts_are_added_up_and_gauges_once_per_worker_process(jobs: Cli, flink: Flink) -> None:
    flink(
        {
            **vertex("tm-1", "tm-1", "tm-2"),
            **of_subtasks("0,1", (70, 40), (68, 39), (2, 2), (18, 9)),
            **of_subtasks("2", (30, 30), (30, 30), (0, 0), (5, 5)),
        }
    )
    (status,) = jobs("status", ORDERS, "--json").objects
    assert status["metrics"] == {
        ORDERS: {"messages": 100, "rows": 98, "deserialization_errors": 2, "read_lag": 14}
    }
    told = jobs("status", ORDERS).out
    assert "100 events, 98 rows, 0 tiles, 0 late, 2 dead, 0 written" in told
    assert "lag         14 records\n" in told
    assert "freshness" not in told


def test_flink_has_gathered_anew_before_anything_is_read(jobs: Cli, flink: Flink) -> None:
    answers = flink({**vertex("tm-1"), **of_subtasks("0", *[(1, 1)] * len(NAMES))})
    assert jobs("status", ORDERS).code == 0
    paths = [path for _, path, _ in answers.asked if "/metrics" in path]
    assert paths[0] == f"/jobs/{JOB}/metrics"
    assert METRICS in paths[1:]


def test_longest_of_several_times_counts(jobs: Cli, flink: Flink) -> None:
    names = [STEP + name for name in ("event_time_lag_ms", "watermark_lag_ms", "freshness_ms")]
    asked = ",".join(quote(name, safe="") for name in names)
    answers = {
        ("GET", f"{METRICS}?agg=sum,max&subtasks={subtask}&get={asked}"): Given(
            [{"id": name, "sum": each, "max": each} for name, each in zip(names, ms, strict=True)]
        )
        for subtask, ms in ((0, (400, 300_400, 95)), (1, (700, 300_100, 60)))
    }
    listed = {("GET", METRICS): Given([{"id": name} for name in names])}
    flink({**vertex("tm-1", "tm-2"), **answers, **listed})
    told = jobs("status", ORDERS).out
    assert "lag         events 700 ms, watermark 5 min\n" in told
    assert "freshness   95 ms\n" in told


def test_many_metrics_are_asked_for_in_parts(jobs: Cli, flink: Flink) -> None:
    long = "x" * 2000
    names = [f"[2]{long}{i}.chronon_feature_group_shop_orders_v1_messages" for i in range(3)]
    parts = {
        ("GET", f"{METRICS}?agg=sum,max&subtasks=0&get={quote(name, safe='')}"): Given(
            [{"id": name, "sum": 7, "max": 7}]
        )
        for name in names
    }
    listed = {("GET", METRICS): Given([{"id": name} for name in names])}
    flink({**vertex("tm-1"), **listed, **parts})
    (status,) = jobs("status", ORDERS, "--json").objects
    assert status["metrics"] == {ORDERS: {"messages": 21}}


def test_job_that_has_ended_measures_nothing(jobs: Cli, flink: Flink) -> None:
    answers = flink({("GET", "/jobs/overview"): Given({"jobs": [job(state="FINISHED")]})})
    (status,) = jobs("status", ORDERS, "--json").objects
    assert status["metrics"] == {}
    assert not [path for _, path, _ in answers.asked if "vertices" in path]
