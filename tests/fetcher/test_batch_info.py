"""What an upload notes for readers, in this project's form and in Chronon's."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api import (
    Accuracy,
    Aggregation,
    EventSource,
    GroupBy,
    GroupByError,
    Operation,
    Query,
    Source,
    TimeUnit,
    Window,
    parse_group_by,
)
from chronon_beam.api.data_types import DOUBLE, INT, STRING
from chronon_beam.api.dialect import DAY_MS, DIALECTS
from chronon_beam.api.records import MAX_MS, GetRequest, PutRequest
from chronon_beam.fetcher.batch_info import (
    METADATA,
    VALUE_MS,
    BatchInfo,
    batch_key,
    batch_request,
    begin_upload,
    save_batch,
)
from chronon_beam.fetcher.changes import save
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.fetcher.serving_info import ServingInfo, check_batch, load
from chronon_beam.io.kv_store import MemoryStore, open_store

END_MS = 20_000 * DAY_MS
TYPES = {"user": STRING, "n": INT, "city": STRING}


def events(topic: str | None = None) -> Any:
    selects = {"user": "id", "n": "n + 1", "city": "city"}
    query = Query(selects, ["n > 0"], time_column="created")
    return Source(EventSource("data.events", topic, query))


def group_by(**changes: Any) -> Any:
    declared: dict[str, Any] = {
        "name": "team.batch.v1",
        "sources": events(topic="events"),
        "keys": ["user"],
        "aggregations": [
            Aggregation("n", Operation.SUM, [Window(7, TimeUnit.DAYS)], ["city"]),
            Aggregation("n", Operation.LAST_K(3)),
        ],
    }
    return GroupBy(**{**declared, **changes})


def info(**changes: Any) -> BatchInfo:
    return BatchInfo(Plan(group_by(**changes), TYPES), END_MS)


@pytest.fixture
def store() -> Any:
    MemoryStore.forget("batch_info")
    return MemoryStore("batch_info")


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_chronon_finds_its_serving_info_beside_the_values(store: Any, dialect: str) -> None:
    save_batch(store, info(dialect=dialect))
    asked = GetRequest(b"group_by_serving_info", "TEAM_BATCH_V1_BATCH", END_MS, END_MS + 1, 1)
    found = json.loads(store.multi_get([asked])[0][0].value_bytes)
    assert found["batchEndDate"] == "2024-10-04"
    assert found.get("dateFormat") == (None if dialect == "airbnb" else "yyyy-MM-dd")
    assert json.loads(found["keyAvroSchema"])["name"] == "Key"
    selected = json.loads(found["selectedAvroSchema"])
    assert [field["name"] for field in selected["fields"]] == ["user", "city", "n"]
    read = parse_group_by(json.dumps(found["groupBy"]), DIALECTS[dialect])
    assert read == replace(group_by(dialect=dialect), accuracy=Accuracy.TEMPORAL)


def test_compiled_groupbys_are_passed_on_as_they_are() -> None:
    conf = json.loads(info().to_chronon())["groupBy"]
    conf["metaData"]["team"] = "growth"
    conf["sources"][0]["events"]["query"]["startPartition"] = "2024-01-01"
    compiled = parse_group_by(json.dumps(conf), DIALECTS["airbnb"])
    written = json.loads(BatchInfo(Plan(compiled, TYPES), END_MS).to_chronon())
    assert written["groupBy"] == conf


def test_batch_alone_is_loaded(store: Any) -> None:
    save_batch(store, info())
    found = load(store, group_by())
    assert found.batch == info()
    assert not found.streamed


def test_another_definition_is_refused(store: Any) -> None:
    save_batch(store, info())
    with pytest.raises(GroupByError, match="were made without n_max"):
        load(store, group_by(aggregations=[Aggregation("n", Operation.MAX)]))
    with pytest.raises(GroupByError, match="were made without column 'm'"):
        load(store, group_by(sources=Source(EventSource(query=Query(time_column="ts"))),
                             aggregations=[Aggregation("m", Operation.MAX)]))  # fmt: skip
    with pytest.raises(GroupByError, match="dialect airbnb: add --dialect=airbnb"):
        load(store, group_by(dialect="zipline"))


@pytest.mark.parametrize("batch_first", [True, False])
def test_types_of_stream_and_batch_must_be_the_same(store: Any, batch_first: bool) -> None:
    stream = ServingInfo(Plan(group_by(), {**TYPES, "n": DOUBLE}), tiled=True)
    first, second = (save_batch, save) if batch_first else (save, check_batch)
    infos: tuple[Any, Any] = (info(), stream) if batch_first else (stream, info())
    first(store, infos[0])
    with pytest.raises(GroupByError, match="'n' is double in the stream and int in the batch"):
        second(store, infos[1])


def test_snapshot_values_are_not_merged_with_a_stream(store: Any) -> None:
    save(store, ServingInfo(Plan(group_by(), TYPES), tiled=True))
    with pytest.raises(GroupByError, match="of accuracy SNAPSHOT, which are not merged"):
        check_batch(store, info(accuracy=Accuracy.SNAPSHOT, sources=events()))


def test_a_note_that_cannot_be_written_is_an_error() -> None:
    class Full(MemoryStore):
        def multi_put(self, requests: list[PutRequest]) -> list[str | None]:
            return ["disk full"] * len(requests)

    with pytest.raises(GroupByError, match="the store cannot be written: disk full"):
        save_batch(Full("full"), info())


@pytest.mark.parametrize("scheme", ["memory:dropped", "sqlite:{}/features.db"])
def test_of_older_batches_the_last_is_kept(scheme: str, tmp_path: Any) -> None:
    store = open_store(scheme.format(tmp_path))
    for day in (1, 2, 3):
        made = replace(info(), end_ms=END_MS + day * DAY_MS)
        store.create(made.plan.group_by.batch_dataset)
        store.multi_put([batch_request(made, b"key", b"value")])
        save_batch(store, made)
    kept = [each.value.ts_ms for each in store.scan("TEAM_BATCH_V1_BATCH")]
    assert sorted(set(kept)) == [END_MS + 2 * DAY_MS, END_MS + 3 * DAY_MS]
    save_batch(store, replace(info(), end_ms=END_MS + 2 * DAY_MS))
    assert len(list(store.scan("TEAM_BATCH_V1_BATCH"))) == len(kept)
    store.close()


def put(store: Any, made: BatchInfo, **values: str) -> None:
    store.multi_put(
        [batch_request(made, key.encode(), value.encode()) for key, value in values.items()]
    )


def read(store: Any, *keys: str) -> list[bytes | None]:
    """What a fetcher that opens the store now reads of keys."""
    found = load(store, group_by())
    assert found.batch is not None
    request = Fetcher.of(found, store)._batch_request(found.batch, END_MS + DAY_MS)
    answers = store.multi_get([request._replace(key_bytes=key.encode()) for key in keys])
    return [values[0].value_bytes if values else None for values in answers]


@pytest.mark.parametrize("scheme", ["memory:again", "sqlite:{}/features.db"])
def test_day_that_is_uploaded_again_changes_for_readers_once_and_at_the_end(
    scheme: str, tmp_path: Any
) -> None:
    store = open_store(scheme.format(tmp_path))
    first = begin_upload(store, info())
    put(store, first, ann="1", bob="2")
    save_batch(store, first)
    failed = begin_upload(store, info())
    put(store, failed, ann="half", cid="half")
    assert read(store, "ann", "bob", "cid") == [b"1", b"2", None]
    again = begin_upload(store, info())
    put(store, again, ann="3")
    assert read(store, "ann", "bob", "cid") == [b"1", b"2", None]
    save_batch(store, again)
    # Neither a key that only the first upload had, nor one that only the failed one had.
    assert read(store, "ann", "bob", "cid") == [b"3", None, None]
    assert [each.end_ms for each in (first, failed, again)] == [END_MS] * 3
    assert len({each.values_ms for each in (first, failed, again)}) == 3

    following = begin_upload(store, replace(info(), end_ms=END_MS + DAY_MS))
    put(store, following, ann="4")
    save_batch(store, following)
    kept = {each.value.value_bytes for each in store.scan("TEAM_BATCH_V1_BATCH")}
    assert not kept & {b"1", b"2", b"half"}
    store.close()


def test_chronons_reader_gets_the_latest_upload_of_a_day() -> None:
    """It takes the newest value of a key that is not before the batch's end."""
    store = MemoryStore("chronons")
    for value in ("1", "2"):
        made = begin_upload(store, info())
        put(store, made, ann=value)
        save_batch(store, made)
    found = store.multi_get([GetRequest(b"ann", "TEAM_BATCH_V1_BATCH", END_MS, MAX_MS, VALUE_MS)])
    assert max(found[0], key=lambda each: each.ts_ms).value_bytes == b"2"
    MemoryStore.forget("chronons")


@given(st.integers(0, 10 * DAY_MS))
def test_values_stand_between_their_day_and_the_next(upload: int) -> None:
    made = replace(info(), upload=upload)
    assert END_MS <= made.values_ms < END_MS + DAY_MS


def test_note_from_before_uploads_were_counted_is_understood(store: Any) -> None:
    save_batch(store, info())
    noted = batch_key(group_by())
    old = json.loads(store.multi_get([noted])[0][0].value_bytes)
    del old["upload"]
    request = PutRequest(noted.key_bytes, json.dumps(old).encode(), METADATA, END_MS, 0, VALUE_MS)
    store.multi_put([request])
    put(store, info(), ann="old")
    assert read(store, "ann") == [b"old"]
    assert begin_upload(store, info()).upload == 1


def test_names_that_make_one_dataset_do_not_share_it(store: Any) -> None:
    save_batch(store, begin_upload(store, info()))
    other = info(name="team.batch_v1")
    assert other.plan.group_by.batch_dataset == info().plan.group_by.batch_dataset
    for step in (begin_upload, save_batch):
        with pytest.raises(GroupByError, match=r"is that of GroupBy 'team\.batch\.v1'.*Rename one"):
            step(store, other)
    assert begin_upload(store, info()).upload == 1
