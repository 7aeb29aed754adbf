"""`trace`: what each operator makes of an event, good or bad, without a store."""

import base64
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from chronon_beam.api.records import PutRequest
from chronon_beam.io.kv_store import KVStore, MemoryStore, open_store
from chronon_beam.pipeline.json_lines import to_json
from chronon_beam.pipeline.tracing import Tracer

GROUP_BY = """
from chronon_beam.api import *
six = [Window(6, TimeUnit.HOURS)]
own = GroupBy(
    name="t.traced",
    keys=["user"],
    sources=Source(EventSource(query=Query(
        select("user", "tags", price="price * 100"), wheres=["price > 0"], time_column="t"))),
    aggregations=[
        Aggregation("price", Operation.COUNT, six), Aggregation("tags", Operation.LAST, six)])
"""
SCHEMA = "user STRING, price DOUBLE, tags ARRAY<STRING>, t BIGINT"
ANN = {"user": "Ann", "price": 2.0, "tags": ["a"], "t": -1}


def traced(
    folder: Path,
    *events: dict[str, Any] | str,
    tiled: bool = True,
    store: KVStore | None = None,
) -> list[dict[str, Any]]:
    (folder / "g.py").write_text(GROUP_BY)
    texts = [event if isinstance(event, str) else json.dumps(event) for event in events]
    (folder / "e.jsonl").write_text("".join(f"{text}\n" for text in texts))
    source = f"file:{folder / 'e.jsonl'}?schema={SCHEMA}"
    return list(Tracer(str(folder / "g.py"), None, source, tiled, store).lines())


def test_pre_aggregates_grow_with_each_event_of_a_tile(tmp_path: Path) -> None:
    lines = traced(tmp_path, ANN, {**ANN, "t": -2}, {**ANN, "t": 0}, {**ANN, "user": "Bob"})
    windows = [line["3_window"] for line in lines]
    assert [window["pre_aggregates"]["price_count"] for window in windows] == [1, 2, 1, 1]
    assert [window["tile_start_ms"] for window in windows] == [-300_000, -300_000, 0, -300_000]
    assert windows[0]["tile_end_ms"] == 0
    assert [line["5_write"]["key"]["user"] for line in lines] == ["Ann", "Ann", "Ann", "Bob"]


def test_filtered_event_says_so(tmp_path: Path) -> None:
    (line,) = traced(tmp_path, {**ANN, "price": -1.0})
    assert line["2_evaluate"] is None
    assert line["filtered"] == "a where was not true"
    assert "3_window" not in line


def test_bad_events_say_at_which_step_and_why(tmp_path: Path) -> None:
    lines = traced(tmp_path, "{", {**ANN, "t": None}, {**ANN, "tags": ["a", None]}, ANN)
    by_position = {int(line["position"].rpartition("@")[2]): line for line in lines}
    dead = {position: line.get("dead_letter") for position, line in by_position.items()}
    assert dead[1]["step"] == "Decode"
    assert dead[2] == {"step": "Evaluate", "reason": "the time column is null"}
    assert dead[3]["step"] == "Tile"
    assert "a list with a null inside cannot be written to Avro: ['a', None]" in dead[3]["reason"]
    # What was refused has left no trace in the tile of those that follow.
    assert by_position[4]["3_window"]["pre_aggregates"] == {"price_count": 1, "tags_last": ["a"]}


def test_store_is_shown_beside_each_event(tmp_path: Path) -> None:
    store = open_store("memory:traced")
    (line,) = traced(tmp_path, ANN, store=store)
    assert line["stored"] == []
    put = line["4_convert"]["PutRequest"]
    key, value = (base64.b64decode(put[name]) for name in ("keyBytes", "valueBytes"))
    store.multi_put([PutRequest(key, value, put["dataset"], -1, -300_000, 300_000)])
    _, line = traced(tmp_path, ANN, {**ANN, "tags": ["b"]}, store=store)
    assert line["stored"] == [
        {"pre_aggregates": {"price_count": 1, "tags_last": ["a"]}, "isComplete": False}
    ]
    assert line["3_window"]["pre_aggregates"]["price_count"] == 2
    MemoryStore.forget("traced")


def test_untiled_event_becomes_a_row(tmp_path: Path) -> None:
    good, bad = traced(tmp_path, ANN, {**ANN, "tags": [None]}, tiled=False)
    request = good["4_convert"]["PutRequest"]
    assert (request["tsMillis"], request["dataset"]) == (-1, "T_TRACED_STREAMING")
    assert "3_window" not in good
    assert bad["dead_letter"]["step"] == "Convert"
    store = open_store("memory:traced")
    key, value = (base64.b64decode(request[name]) for name in ("keyBytes", "valueBytes"))
    store.multi_put([PutRequest(key, value, request["dataset"], -1, -1, 0, "p")])
    (again,) = traced(tmp_path, ANN, tiled=False, store=store)
    assert again["stored"] == [{"row": {"price": 200.0, "tags": ["a"]}}]
    MemoryStore.forget("traced")


SEVERAL = """
from chronon_beam.api import *
six = [Window(6, TimeUnit.HOURS)]
own = GroupBy(
    name="t.several",
    keys=["user"],
    sources=Source(EventSource(query=Query(select("user", "sizes", tag="explode(tags)"),
        time_column="t"))),
    aggregations=[Aggregation("sizes", Operation.SUM, six, element_wise=True),
                  Aggregation("tag", Operation.LAST, six)])
"""


def several(folder: Path, *events: dict[str, Any]) -> list[dict[str, Any]]:
    (folder / "g.py").write_text(SEVERAL)
    (folder / "e.jsonl").write_text("".join(f"{json.dumps(event)}\n" for event in events))
    schema = "user STRING, sizes ARRAY<BIGINT>, tags ARRAY<STRING>, t BIGINT"
    source = f"file:{folder / 'e.jsonl'}?schema={schema}"
    return list(Tracer(str(folder / "g.py"), None, source, tiled=True).lines())


def test_what_the_job_would_dead_letter_is_dead(tmp_path: Path) -> None:
    two = {"user": "ann", "sizes": [1, 2], "tags": ["a"], "t": 5}
    first, longer, third = several(tmp_path, two, {**two, "sizes": [1, 2, 3]}, two)
    assert longer["dead_letter"]["step"] == "Tile"
    assert "3_window" not in longer
    sums = [line["3_window"]["pre_aggregates"]["sizes_sum"] for line in (first, third)]
    assert sums == [[1, 2], [2, 4]]


def test_events_of_several_rows_and_of_none(tmp_path: Path) -> None:
    one = {"user": "ann", "sizes": [1], "tags": ["a", "b"], "t": 5}
    *rows, none, empty = several(tmp_path, one, {**one, "tags": None}, {**one, "tags": []})
    assert [line["2_evaluate"]["tag"] for line in rows] == ["a", "b"]
    assert none["filtered"] == empty["filtered"] == "there was nothing to explode"


@pytest.mark.parametrize(
    ("number", "kind", "shown"),
    [
        (1_700_000_000_000_001, pa.timestamp("us"), "2023-11-14 22:13:20.000001"),
        (1_700_000_000_000_000_001, pa.timestamp("ns"), "2023-11-14 22:13:20"),
        (1 << 58, pa.timestamp("us"), "288230376151711744"),
        (19_724, pa.date32(), "2024-01-02"),
        (4_000_000, pa.date32(), "4000000 days from 1970-01-01"),
    ],
)
def test_times_of_any_year_and_precision_are_shown(
    tmp_path: Path, number: int, kind: pa.DataType, shown: str
) -> None:
    used = GROUP_BY.replace('wheres=["price > 0"]', 'wheres=["at IS NOT NULL"]')
    (tmp_path / "g.py").write_text(used)
    width = pa.int32() if pa.types.is_date32(kind) else pa.int64()
    row = {"user": ["Ann"], "price": [1.0], "tags": [["a"]], "t": [5]}
    table = pa.table({**row, "at": pa.array([number], width).view(kind)})
    pq.write_table(table, tmp_path / "e.parquet")
    source = f"file:{tmp_path / 'e.parquet'}"
    (line,) = Tracer(str(tmp_path / "g.py"), None, source, tiled=True).lines()
    assert shown in to_json(line["1_source"])
    assert line["3_window"]["pre_aggregates"] == {"price_count": 1, "tags_last": ["a"]}
