"""A second job of a name is refused before anything of it starts."""

import pytest
from answering import JOB, ORDERS, Flink, Given, job

from chronon_beam.pipeline.jobs.second import JobRuns, refuse_second

OVERVIEW = ("GET", "/jobs/overview")
NAMED = f"--job_name={ORDERS}"


@pytest.mark.parametrize("state", ["RUNNING", "RESTARTING", "CREATED"])
def test_a_job_of_that_name_that_has_not_ended_is_named_with_the_way_out(
    flink: Flink, state: str
) -> None:
    master = flink({OVERVIEW: Given({"jobs": [job(state=state)]})}).url
    with pytest.raises(JobRuns, match=rf"^{ORDERS} runs already .* \({state}, job {JOB}\)") as told:
        refuse_second("FlinkRunner", [f"--flink_master={master}", NAMED])
    assert f"`chronon-beam jobs stop {ORDERS} --flink_master={master}`" in str(told.value)


@pytest.mark.parametrize("name", [f"shop.carts.v1+{ORDERS}", f"{ORDERS}+shop.returns.v1"])
def test_a_job_of_several_group_bys_runs_for_each_of_them(flink: Flink, name: str) -> None:
    master = flink({OVERVIEW: Given({"jobs": [job(name=name)]})}).url
    with pytest.raises(JobRuns, match=f"^{name.replace('+', '.')} runs already"):
        refuse_second("FlinkRunner", [f"--flink_master={master}", NAMED])


@pytest.mark.parametrize("other", [job(state="FINISHED"), job(name="shop.returns.v1")])
def test_a_job_that_has_ended_or_has_another_name_is_no_obstacle(flink: Flink, other: dict) -> None:
    answers = flink({OVERVIEW: Given({"jobs": [other]})})
    refuse_second("FlinkRunner", ["--flink_master", answers.url, NAMED])
    assert [question[:2] for question in answers.asked] == [OVERVIEW]


@pytest.mark.parametrize(
    ("runner", "flags"),
    [
        ("DirectRunner", ["--flink_master={}"]),
        ("FlinkRunner", ["--flink_master=[local]"]),
        ("FlinkRunner", []),
        ("FlinkRunner", ["--flink_master={}", "--job_endpoint=localhost:8099"]),
    ],
)
def test_only_a_cluster_is_asked(flink: Flink, runner: str, flags: list[str]) -> None:
    answers = flink({})
    refuse_second(runner, [NAMED, *(flag.format(answers.url) for flag in flags)])
    assert answers.asked == []
