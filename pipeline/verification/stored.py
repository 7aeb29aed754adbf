"""Reads what the store holds: in one pass, or key by key where keys are given."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.typehints import Tuple

from chronon_beam.api.records import MAX_MS, MIN_MS, GetRequest
from chronon_beam.io.kv_store import KVStore, open_store
from chronon_beam.pipeline.verification.scope import Scope, Value, ValuePlace, packed, portions

_VALUES = 50_000
"""How many values are read before they are given to the next step."""

_KEYS = 100
"""How many keys are read at a time."""


@dataclass(frozen=True)
class StoredValues:
    """The values of a dataset in a scope.

    Attributes:
        sizes_ms: the sizes of its tiles, for reads by key; 0 for rows.
    """

    store_uri: str
    dataset: str
    sizes_ms: tuple[int, ...]
    scope: Scope

    def __iter__(self) -> Iterator[Value]:
        with closing(open_store(self.store_uri)) as store:
            found = self._all(store) if self.scope.keys is None else self._of_keys(store)
            for place, value in found:
                if self.scope.has(place):
                    yield place, value

    def _all(self, store: KVStore) -> Iterator[Value]:
        for key, size_ms, (value, start_ms) in store.scan(self.dataset):
            yield ValuePlace(key, size_ms, start_ms), value

    def _of_keys(self, store: KVStore) -> Iterator[Value]:
        start_ms, end_ms = max(self.scope.from_ms, MIN_MS), min(self.scope.to_ms, MAX_MS)
        for keys in portions(sorted(self.scope.keys or ()), _KEYS):
            asked = [
                GetRequest(key, self.dataset, start_ms, end_ms, size_ms)
                for key in keys
                for size_ms in self.sizes_ms
            ]
            for request, values in zip(asked, store.multi_get(asked), strict=True):
                for value, at_ms in values:
                    yield ValuePlace(request.key_bytes, request.tile_size_ms, at_ms), value


@beam.typehints.with_output_types(Tuple[int, bytes])
class ReadStoredFn(beam.DoFn):
    """StoredValues to (bucket, blob) pairs."""

    def process(self, values: StoredValues) -> Iterator[Any]:
        """Yield the values of some 50,000 places at a time."""
        for some in portions(values, _VALUES):
            yield from packed(some)
