"""The job's page: the names of its steps, which are part of a job's state."""

import apache_beam as beam
import pyarrow as pa
from declarations import plan_over_six_hours

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import (
    Operation,
)
from chronon_beam.io.dead_letters.log import LogDeadLetters
from chronon_beam.pipeline.job import Job, StoreGroupBy, build, build_shared
from chronon_beam.transforms.evaluate import sql_query
from chronon_beam.transforms.tiling.settings import Tiling

PLAN = plan_over_six_hours("t.named", Operation.SUM)
SCHEMA = pa.schema({"k": pa.string(), "d": pa.float64(), "t": pa.int64()})


def job_of(plan: Plan, tiled: bool = True) -> Job:
    return Job(plan, sql_query(plan.group_by, SCHEMA), "null:", Tiling() if tiled else None)


def steps_of(root: beam.Pipeline) -> list[str]:
    page = root.to_runner_api().components.transforms.values()
    return sorted(
        transform.unique_name
        for transform in page
        # Of the source only its place is ours, and of a step only its own name.
        if transform.spec.urn == "beam:transform:pardo:v1"
        and "/Rows/Read/" not in transform.unique_name
    )


def steps(tiled: bool) -> list[str]:
    root = beam.Pipeline()
    build(root, job_of(PLAN, tiled), beam.Create([], reshuffle=False), LogDeadLetters())
    return [name.removeprefix("t.named/") for name in steps_of(root)]


COMMON = [
    *(f"DeadLetters{number}/Keep" for number in range(4)),
    "Rows/Decode/Decode/ParDo(_DecodeFn)",
    "Rows/Evaluate/Sql/Batch/ParDo(BatchFn)",
]


def test_steps_of_a_tiled_job_keep_their_names_so_that_a_savepoint_fits() -> None:
    of_tiles = [
        "StoreTiles300000/Convert/Requests",
        "StoreTiles300000/Tile/Aggregate/ParDo(EveryEventFn)",
        "StoreTiles300000/Tile/Split/ParDo(SplitFn)",
        "StoreTiles300000/Write/Write/ParDo(WriteTilesFn)",
    ]
    assert steps(tiled=True) == sorted(COMMON + of_tiles)


def test_steps_of_an_untiled_job_keep_their_names() -> None:
    of_rows = [
        "StoreRows/Convert/Requests/Batch/ParDo(BatchFn)",
        "StoreRows/Write/Write/ParDo(WriteFn)",
    ]
    assert steps(tiled=False) == sorted(COMMON + of_rows)


def test_tiles_keep_the_names_of_their_steps_where_the_reading_is_shared() -> None:
    """The reading has the names of all: a savepoint of other GroupBys does not fit it."""
    other = plan_over_six_hours("t.other", Operation.MAX)
    stores = [StoreGroupBy(job_of(plan), LogDeadLetters()) for plan in (PLAN, other)]
    root = beam.Pipeline()
    build_shared(root, stores, beam.Create([], reshuffle=False), SCHEMA)
    reading, *own = sorted(steps_of(root), key=lambda name: not name.startswith("t.named+t.other/"))
    assert reading == ("t.named+t.other/Rows/DecodeAndEvaluate/Rows/ParDo(_DecodeAndEvaluateFn)")
    alone = [f"t.named/{name}" for name in steps(tiled=True)]
    mine = [name for name in own if name.startswith("t.named/")]
    # Decode and Evaluate are one step, and so have one sink for their dead letters.
    gone = {"DeadLetters3/Keep", *(name for name in COMMON if name.startswith("Rows/"))}
    assert set(alone) - set(mine) == {f"t.named/{name}" for name in gone}
    assert [name.replace("t.named/", "t.other/") for name in mine] == [
        name for name in own if name.startswith("t.other/")
    ]
