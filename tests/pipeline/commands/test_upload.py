"""`chronon-beam upload` and what `fetch` makes of it, in this process."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chronon_beam.api.dialect import DAY_MS
from chronon_beam.pipeline import cli
from chronon_beam.pipeline.options import UsageError
from chronon_beam.pipeline.runners.runner_config import with_config
from chronon_beam.pipeline.upload import UploadOptions

END_MS = 20_000 * DAY_MS  # 2024-10-04T00:00Z
DS = "--ds=2024-10-03"


class Place:
    """A folder with a source, a store and a GroupBy."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capsys = folder, capsys
        # The day before the batch's end, a week before, after it, and without a time.
        times = [END_MS - 1, END_MS - 7 * DAY_MS + 1, END_MS + 5, None]
        columns = {"user": ["ann"] * 4, "price": [1, 20, 300, 4000], "t": times}
        pq.write_table(pa.table(columns), folder / "events.parquet")
        self.source = f"--source=file:{folder / 'events.parquet'}"
        self.store = f"--store=sqlite:{folder / 'features.db'}"

    def declare(self, more: str = "", unit: str = "DAYS") -> str:
        file = self.folder / "own.py"
        file.write_text(
            "from chronon_beam.api import *\n"
            "own = GroupBy(name='t.own', keys=['user'], aggregations=[Aggregation("
            f"'price', Operation.SUM, [Window(7, TimeUnit.{unit})])], sources=Source(EventSource("
            f"query=Query(select('user', 'price'), time_column='t'))){more})"
        )
        return f"--group_by={file}"

    def run(self, *argv: str) -> tuple[int, str, str]:
        self._capsys.readouterr()
        code = cli.main(argv)
        return code, *self._capsys.readouterr()

    def price(self, group_by: str, at_ms: int) -> tuple[Any, str]:
        code, out, err = self.run("fetch", group_by, self.store, "--key=user=ann", f"--at={at_ms}")
        assert code == 0
        return json.loads(out)["price_sum_7d"], err


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Place:
    return Place(tmp_path, capsys)


def test_upload_then_run_then_fetch(place: Place) -> None:
    group_by, dead = place.declare(), place.folder / "dead.jsonl"
    upload = ("upload", group_by, place.source, place.store)
    code, out, err = place.run(*upload, DS, f"--dead_letters=file:{dead}")
    assert (code, out) == (0, "")
    assert "4 events" in err
    assert "1 rows in no window or after the batch's end, 1 keys written" in err
    assert "the time column is null" in dead.read_text()
    assert place.price(group_by, END_MS) == (21, "")
    value, warning = place.price(group_by, END_MS + 3 * DAY_MS)
    assert value == 1
    assert "end more than two days before the query" in warning
    early = place.run("fetch", group_by, place.store, "--key=user=ann", f"--at={END_MS - 1}")
    assert early[0] == 2
    assert "before the end of the batch values" in early[2]

    assert place.run("run", group_by, place.source, place.store)[0] == 0
    value, told = place.price(group_by, END_MS + 6)
    assert value == 321
    assert "lies within a tile, which counts whole" in told
    assert place.run(*upload, "--end_date=2024-10-04")[0] == 0
    assert place.price(group_by, END_MS + DAY_MS) == (301, "")
    code, _, err = place.run("run", group_by, place.source, place.store, "--layout=sliding")
    assert code == 2
    assert "was written with other tiling" in err


def test_snapshot_features_are_uploaded_and_not_streamed(place: Place) -> None:
    group_by = place.declare(", accuracy=Accuracy.SNAPSHOT")
    code, _, err = place.run("run", group_by, place.source, place.store)
    assert code == 2
    assert "such features are made by `chronon-beam upload` alone" in err
    assert place.run("upload", group_by, place.source, place.store, DS)[0] == 0
    assert place.price(group_by, END_MS + 99 * DAY_MS) == (21, "")
    hours = place.declare(", accuracy=Accuracy.SNAPSHOT", unit="HOURS")
    code, _, err = place.run("upload", hours, place.source, place.store, DS)
    assert code == 2
    assert "as of midnight: choose days" in err
    temporal = place.declare()
    code, _, err = place.run("fetch", temporal, place.store, "--key=user=ann")
    assert code == 2
    assert "another accuracy" in err


def test_day_that_readers_have_stays_as_it_is_until_all_of_it_is_uploaded_again(
    place: Place,
) -> None:
    group_by = place.declare()
    upload = ("upload", group_by, place.store, DS)
    assert place.run(*upload, place.source)[0] == 0
    half = place.folder / "half.jsonl"
    half.write_text(f'{{"user": "ann", "price": 5, "t": {END_MS - 2}}}\nno JSON\n')
    source = f"--source=file:{half}?schema=user STRING, price BIGINT, t BIGINT"
    code, _, err = place.run(*upload, source, "--max_dead=0")
    assert code == 1
    assert "Readers stay with the batch they have" in err
    assert place.price(group_by, END_MS)[0] == 21
    assert place.run(*upload, source)[0] == 0
    assert place.price(group_by, END_MS)[0] == 5


def test_names_that_make_one_dataset_do_not_share_its_batch(place: Place) -> None:
    file = place.declare()
    assert place.run("upload", file, place.source, place.store, DS)[0] == 0
    twin = place.folder / "own.py"
    twin.write_text(twin.read_text().replace("'t.own'", "'t_own'"))
    code, _, err = place.run("upload", file, place.source, place.store, DS)
    assert code == 2
    assert "dataset T_OWN_BATCH is that of GroupBy 't.own'" in err


@pytest.mark.parametrize("ds", ["yesterday", "2026-02-30", ""])
def test_ds_is_a_day(ds: str) -> None:
    with pytest.raises(UsageError, match=r"a day is expected, for example"):
        assert UploadOptions("g", "s", "t", ds).end_ms


def test_batch_ends_with_its_last_day() -> None:
    assert UploadOptions("g", "s", "t", "2024-10-03").end_ms == END_MS


def test_ways_to_run_are_taken_without_what_they_say_of_streaming() -> None:
    for_run = with_config(["run", "--runner_config=flink_local"])
    for_upload = with_config(["upload", "--runner_config=flink_local"])
    assert [flag for flag in for_run[1:] if flag not in for_upload] == ["--shards=4"]
