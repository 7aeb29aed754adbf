"""The note on a GroupBy's batch values that a reader needs: until when they reach, and their types.

An upload writes the note when all its values are in the store, so that readers change to the new
batch at once. It also writes Chronon's `GroupByServingInfo`, where Chronon's Fetcher looks for it.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from chronon_beam.aggregator.avro import record_schema
from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.data_types import DataType, from_json, struct_of, to_json
from chronon_beam.api.group_by import Accuracy, GroupBy, GroupByError
from chronon_beam.api.records import GetRequest, PutRequest
from chronon_beam.fetcher.readable_store import WritableStore

METADATA = "CHRONON_METADATA"
CHRONON_KEY = b"group_by_serving_info"
"""Chronon's `Constants.GroupByServingInfoKey`, a key of the batch dataset."""

VALUE_MS = 1
"""Tile size of values that a key has once: batch values and metadata."""

_DECLARED = {
    "accuracy": "with another accuracy",
    "key_schema": "with other keys",
    "schema": "with other aggregations",
}


@dataclass(frozen=True)
class BatchInfo:
    """A GroupBy's plan, and where its batch values end.

    Attributes:
        end_ms: the end of the batch, which is not in it; tiles and rows count from there on.
    """

    plan: Plan
    end_ms: int

    @property
    def snapshot(self) -> bool:
        """Whether the values are the features themselves, which are not merged with a stream."""
        return self.plan.group_by.accuracy is Accuracy.SNAPSHOT

    @property
    def _accuracy(self) -> Accuracy:
        return self.plan.group_by.accuracy or Accuracy.TEMPORAL

    def to_bytes(self) -> bytes:
        """As JSON."""
        plan = self.plan
        return json.dumps(
            {
                "group_by": plan.group_by.name,
                "dialect": plan.group_by.dialect.name,
                "accuracy": self._accuracy.name,
                "key_schema": plan.keys.schema,
                "types": {name: to_json(plan.types[name]) for name in _columns(plan.group_by)},
                "schema": plan.outputs.schema if self.snapshot else plan.batch_irs.schema,
                "batch_end_ms": self.end_ms,
            }
        ).encode()

    def to_chronon(self) -> bytes:
        """As Chronon's `GroupByServingInfo`, in Thrift's simple JSON."""
        group_by, types = self.plan.group_by, self.plan.types
        selected = {name: types[name] for name in _columns(group_by)}
        return json.dumps(
            {
                # Without an accuracy, Chronon takes a GroupBy that has no topic for SNAPSHOT.
                "groupBy": {**group_by.to_thrift(), "accuracy": self._accuracy.value},
                "selectedAvroSchema": _avro("Value", selected, group_by),
                "keyAvroSchema": json.dumps(self.plan.keys.schema),
                "batchEndDate": datetime.fromtimestamp(self.end_ms / 1000, UTC).date().isoformat(),
            }
        ).encode()


def _columns(group_by: GroupBy) -> list[str]:
    return list(dict.fromkeys((*group_by.keys, *group_by.aggregation_inputs)))


def _avro(record: str, columns: dict[str, DataType], group_by: GroupBy) -> str:
    return json.dumps(record_schema(struct_of(record, tuple(columns.items())), group_by.dialect))


def batch_key(group_by: GroupBy) -> GetRequest:
    """The request for the note on a GroupBy's batch."""
    return GetRequest(f"{group_by.name}#batch".encode(), METADATA, 0, 1, VALUE_MS)


def save_batch(store: WritableStore, info: BatchInfo) -> None:
    """Write `info`: from then on readers take the values of this batch.

    The values of the batch before stay, for readers that know the old note.
    Older values are deleted.

    Raises:
        GroupByError: the write failed.
    """
    group_by = info.plan.group_by
    noted = batch_key(group_by)
    store.create(METADATA)
    found = store.multi_get([noted])[0]
    last_ms = json.loads(found[0].value_bytes)["batch_end_ms"] if found else info.end_ms
    reasons = store.multi_put(
        [
            batch_request(info, CHRONON_KEY, info.to_chronon()),
            PutRequest(noted.key_bytes, info.to_bytes(), METADATA, info.end_ms, 0, VALUE_MS),
        ]
    )
    reason = next((reason for reason in reasons if reason is not None), None)
    if reason is not None:
        raise GroupByError(f"{group_by.name}: the store cannot be written: {reason}")
    store.drop_before(group_by.batch_dataset, min(last_ms, info.end_ms))


def batch_request(info: BatchInfo, key_bytes: bytes, value_bytes: bytes) -> PutRequest:
    """The write of one batch value; each batch has its own values, by its end."""
    dataset = info.plan.group_by.batch_dataset
    return PutRequest(key_bytes, value_bytes, dataset, info.end_ms, info.end_ms, VALUE_MS)


def read_batch(noted: bytes, group_by: GroupBy) -> BatchInfo:
    """The note that `save_batch` wrote for `group_by`.

    Raises:
        GroupByError: the note was written for another declaration of the GroupBy.
    """
    found = json.loads(noted)
    types = {name: from_json(kind) for name, kind in found["types"].items()}
    missing = [name for name in _columns(group_by) if name not in types]
    info = BatchInfo(Plan(group_by, types), found["batch_end_ms"])
    now = {} if missing else json.loads(info.to_bytes())
    differs = (what for name, what in _DECLARED.items() if now.get(name) != found[name])
    different = f"without column {missing[0]!r}" if missing else next(differs, None)
    if different is not None:
        raise GroupByError(
            f"{group_by.name}: its batch values were made {different}: give the GroupBy as it was "
            "then, or run `chronon-beam upload` again"
        )
    return info
