"""The page: the names of its steps."""

import apache_beam as beam
import pyarrow as pa
from declarations import plan_over_six_hours

from chronon_beam.api import (
    Operation,
)
from chronon_beam.io.dead_letters.log import LogDeadLetters
from chronon_beam.pipeline.job import Job, build
from chronon_beam.transforms.evaluate import sql_query
from chronon_beam.transforms.tiling.settings import Tiling

PLAN = plan_over_six_hours("t.named", Operation.SUM)
SCHEMA = pa.schema({"k": pa.string(), "d": pa.float64(), "t": pa.int64()})


def steps(tiled: bool) -> list[str]:
    job = Job(PLAN, sql_query(PLAN.group_by, SCHEMA), "null:", Tiling() if tiled else None)
    root = beam.Pipeline()
    build(root, job, beam.Create([], reshuffle=False), LogDeadLetters())
    page = root.to_runner_api().components.transforms.values()
    return sorted(
        transform.unique_name.removeprefix("t.named/")
        for transform in page
        # Of the source only its place is ours, and of a step only its own name.
        if transform.spec.urn == "beam:transform:pardo:v1"
        and not transform.unique_name.startswith("t.named/Rows/Read/")
    )


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
