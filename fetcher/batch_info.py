"""The note on a GroupBy's batch values that a reader needs: their types, and the end of the batch.

Each upload has a number, which the note gives. The values of an upload are stored under the time of
the batch's end plus that many milliseconds. So they stand beside the values of the upload before,
also if both are of one day. An upload writes the note after all values: readers change to the new
batch at once, and keep the batch that they have if the upload fails.

An upload also writes Chronon's `GroupByServingInfo`, where Chronon's Fetcher looks for it. That
Fetcher takes the latest value of a key, from the batch's end on.
"""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from chronon_beam.aggregator.avro import record_schema
from chronon_beam.aggregator.plan import Plan
from chronon_beam.aggregator.versions import aggregation_json, aggregation_of
from chronon_beam.api.data_types import DataType, from_json, struct_of, to_json
from chronon_beam.api.dialect import DAY_MS
from chronon_beam.api.group_by import Accuracy, GroupBy, GroupByError
from chronon_beam.api.records import MAX_MS, MIN_MS, GetRequest, PutRequest
from chronon_beam.api.thrift_json import declaration_of
from chronon_beam.fetcher.readable_store import ReadableStore, WritableStore

METADATA = "CHRONON_METADATA"
CHRONON_KEY = b"group_by_serving_info"
"""Chronon's `Constants.GroupByServingInfoKey`, a key of the batch dataset."""

VALUE_MS = 1
"""The tile size under which values are stored that are not tiles: batch values and metadata."""

_UPLOADS = DAY_MS
"""How many uploads have times of their own before the end of the next day's batch."""

_DECLARED = {
    "accuracy": "with another accuracy",
    "key_schema": "with other keys",
    "schema": "with other aggregations",
}
"""The names in `BatchInfo.form`, with what a reader is told if one of them differs."""


@dataclass(frozen=True)
class BatchInfo:
    """A GroupBy's plan, and where its batch values end.

    Attributes:
        end_ms: the end of the batch, which is not in it; tiles and rows count from there on.
        upload: the number of the upload that made it.
    """

    plan: Plan
    end_ms: int
    upload: int = 0

    @property
    def values_ms(self) -> int:
        """The time under which the values of the upload are stored."""
        return self.end_ms + self.upload % _UPLOADS

    @property
    def is_snapshot(self) -> bool:
        """Whether the values are the features themselves, which are not merged with a stream."""
        return self.plan.group_by.accuracy is Accuracy.SNAPSHOT

    @property
    def _accuracy(self) -> Accuracy:
        return self.plan.group_by.accuracy or Accuracy.TEMPORAL

    def to_bytes(self) -> bytes:
        """The note, as JSON."""
        group_by = self.plan.group_by
        return json.dumps(
            {
                "group_by": group_by.name,
                "dialect": group_by.dialect.name,
                **self.form(),
                "types": {name: to_json(self.plan.types[name]) for name in _columns(group_by)},
                "aggregations": [aggregation_json(each) for each in group_by.aggregations],
                "batch_end_ms": self.end_ms,
                "upload": self.upload,
                "declaration": declaration_of(group_by),
            }
        ).encode()

    def form(self) -> dict[str, object]:
        """What must be the same in the declaration of a reader, by the names of `_DECLARED`."""
        plan = self.plan
        return {
            "accuracy": self._accuracy.name,
            "key_schema": plan.keys.schema,
            "schema": plan.outputs.schema if self.is_snapshot else plan.batch_irs.schema,
        }

    def to_chronon(self) -> bytes:
        """As Chronon's `GroupByServingInfo`, in Thrift's simple JSON."""
        group_by, types = self.plan.group_by, self.plan.types
        selected = {name: types[name] for name in _columns(group_by)}
        date_format = group_by.dialect.date_format
        return json.dumps(
            {
                # Without an accuracy, Chronon takes a GroupBy that has no topic for SNAPSHOT.
                "groupBy": {**group_by.to_thrift(), "accuracy": self._accuracy.value},
                "selectedAvroSchema": _avro("Value", selected, group_by),
                "keyAvroSchema": json.dumps(self.plan.keys.schema),
                "batchEndDate": datetime.fromtimestamp(self.end_ms / 1000, UTC).date().isoformat(),
                # Without it, zipline's Fetcher fails; airbnb's may refuse fields it does not know.
                **({} if date_format is None else {"dateFormat": date_format}),
            }
        ).encode()


def _columns(group_by: GroupBy) -> list[str]:
    return list(dict.fromkeys((*group_by.keys, *group_by.aggregation_inputs)))


def _avro(record: str, columns: dict[str, DataType], group_by: GroupBy) -> str:
    return json.dumps(record_schema(struct_of(record, tuple(columns.items())), group_by.dialect))


def batch_key(group_by: GroupBy) -> GetRequest:
    """The request for the note on a GroupBy's batch."""
    return GetRequest(f"{group_by.name}#batch".encode(), METADATA, 0, 1, VALUE_MS)


def begin_upload(store: WritableStore, info: BatchInfo) -> BatchInfo:
    """`info` with the number of a new upload, which no earlier upload has had.

    Args:
        store: has the batch dataset.
        info: of the upload that begins; its own number does not matter.

    Raises:
        GroupByError: the batch dataset is another GroupBy's, or the store cannot be written.
    """
    group_by = info.plan.group_by
    store.create(METADATA)
    _check_owner(store, group_by)
    asked = GetRequest(f"{group_by.name}#uploads".encode(), METADATA, 0, 1, VALUE_MS)
    found = store.multi_get([asked])[0]
    number = int(found[0].value_bytes) if found else _noted_uploads(store, group_by)
    next_one = str(number + 1).encode()
    _put(store, group_by, [PutRequest(asked.key_bytes, next_one, METADATA, 0, 0, VALUE_MS)])
    return replace(info, upload=number)


def _noted_uploads(store: ReadableStore, group_by: GroupBy) -> int:
    """The number of the next upload, from the note, in a store that has no count of uploads yet."""
    found = store.multi_get([batch_key(group_by)])[0]
    return json.loads(found[0].value_bytes).get("upload", 0) + 1 if found else 0


def _check_owner(store: ReadableStore, group_by: GroupBy) -> None:
    """Refuse a dataset of another GroupBy: its name may differ in punctuation alone."""
    dataset = group_by.batch_dataset
    found = store.multi_get([GetRequest(CHRONON_KEY, dataset, MIN_MS, MAX_MS, VALUE_MS)])[0]
    for value in found:
        named = json.loads(value.value_bytes).get("groupBy", {}).get("metaData", {})
        owner = named.get("name", group_by.name)
        if owner != group_by.name:
            raise GroupByError(
                f"dataset {dataset} is that of GroupBy {owner!r}, which has written it: "
                f"{group_by.name!r} differs only in what a dataset's name leaves out. Rename one "
                "of them, or use another store"
            )


def save_batch(store: WritableStore, info: BatchInfo) -> None:
    """Write the note of an upload; readers take the values of this upload from then on.

    The values of the upload before stay, for readers that have its note. Older values are deleted.

    Raises:
        GroupByError: the write failed.
    """
    group_by = info.plan.group_by
    noted = batch_key(group_by)
    store.create(METADATA)
    _check_owner(store, group_by)
    found = store.multi_get([noted])[0]
    before = _values_ms(json.loads(found[0].value_bytes)) if found else info.values_ms
    puts = [
        batch_request(info, CHRONON_KEY, info.to_chronon()),
        PutRequest(noted.key_bytes, info.to_bytes(), METADATA, info.end_ms, 0, VALUE_MS),
    ]
    _put(store, group_by, puts)
    store.drop_before(group_by.batch_dataset, min(before, info.values_ms))


def _values_ms(noted: dict[str, int]) -> int:
    return noted["batch_end_ms"] + noted.get("upload", 0) % _UPLOADS


def _put(store: WritableStore, group_by: GroupBy, puts: list[PutRequest]) -> None:
    reason = next((reason for reason in store.multi_put(puts) if reason is not None), None)
    if reason is not None:
        raise GroupByError(f"{group_by.name}: the store cannot be written: {reason}")


def batch_request(info: BatchInfo, key_bytes: bytes, value_bytes: bytes) -> PutRequest:
    """The request that writes one batch value of an upload."""
    dataset = info.plan.group_by.batch_dataset
    return PutRequest(key_bytes, value_bytes, dataset, info.values_ms, info.values_ms, VALUE_MS)


def check_dialect(written: str, group_by: GroupBy) -> None:
    """Refuse a reader of another dialect than the data; raises GroupByError."""
    if written != group_by.dialect.name:
        raise GroupByError(
            f"{group_by.name}: its data was written in dialect {written}: add --dialect={written}"
        )


def read_batch(noted: bytes, group_by: GroupBy) -> BatchInfo:
    """The note that `save_batch` wrote for `group_by`.

    Raises:
        GroupByError: the note was written for another declaration of the GroupBy.
    """
    found = json.loads(noted)
    check_dialect(found["dialect"], group_by)
    types = {name: from_json(kind) for name, kind in found["types"].items()}
    noted_aggregations = found.get("aggregations")
    written = group_by
    if noted_aggregations is not None:
        made = tuple(map(aggregation_of, noted_aggregations))
        written = replace(group_by, aggregations=made)
    missing = [name for name in _columns(written) if name not in types]
    info = BatchInfo(Plan(written, types), found["batch_end_ms"], found.get("upload", 0))
    now = {} if missing else json.loads(json.dumps(info.form()))
    differs = (what for name, what in _DECLARED.items() if now.get(name) != found[name])
    different = f"without column {missing[0]!r}" if missing else next(differs, None)
    if different is not None:
        raise _made_otherwise(group_by, different)
    return info


def require_all(batch: BatchInfo, group_by: GroupBy) -> None:
    """Refuse a reader of features that are neither streamed nor in the batch values.

    Raises:
        GroupByError: the batch values lack a feature.
    """
    held = {feature.part for feature in batch.plan.group_by.features}
    for feature in group_by.features:
        if feature.part not in held:
            column = feature.part.input_column
            lacks = f"column {column!r}" if column not in batch.plan.types else feature.name
            raise _made_otherwise(group_by, f"without {lacks}")


def _made_otherwise(group_by: GroupBy, how: str) -> GroupByError:
    return GroupByError(
        f"{group_by.name}: its batch values were made {how}: give the GroupBy as it was then, or "
        "run `chronon-beam upload` again"
    )
