"""`trace`: what each operator makes of an event, good or bad, without a store."""

import base64
import json
from pathlib import Path
from typing import Any

from chronon_beam.api.records import PutRequest
from chronon_beam.io.kv_store import KVStore, MemoryStore, open_store
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
