"""Reading back: from the tiles or rows of a key to the values of its features.

Source: `ai.chronon.online.FetcherBase.constructGroupByResponse`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from chronon_beam.aggregator.layout import Span
from chronon_beam.aggregator.plan import Plan
from chronon_beam.aggregator.sawtooth import Sawtooth, TiledIr, WindowedRows
from chronon_beam.api.data_types import (
    BINARY,
    BOOLEAN,
    BYTE,
    FLOATS,
    INT,
    LONG,
    SHORT,
    STRING,
    DataType,
)
from chronon_beam.api.records import MIN_MS, GetRequest, TimedValue


class Reads(Protocol):
    """What a fetcher needs of a KV store."""

    def multi_get(self, requests: list[GetRequest]) -> list[list[TimedValue]]:
        """Values of each request, in request order."""
        ...


class KeyMismatch(ValueError):
    """A key that does not fit the GroupBy."""


@dataclass(frozen=True)
class Fetcher:
    """Fetches the features of one GroupBy.

    Attributes:
        plan: the GroupBy and the types of its columns.
        store: where the job has written.
        tiled: whether the store holds tiles, or rows.
    """

    plan: Plan
    store: Reads
    tiled: bool = True

    def fetch(self, keys: Sequence[Mapping[str, Any]], at_ms: int) -> list[dict[str, Any]]:
        """Feature values of each key at `at_ms`; null for what was never seen.

        Raises:
            KeyMismatch: a key column is missing, unknown or of the wrong type.
            AvroError: the store holds bytes that are not of this GroupBy.
        """
        key_bytes = [self.key_bytes(key) for key in keys]
        return self._of_tiles(key_bytes, at_ms) if self.tiled else self._of_rows(key_bytes, at_ms)

    def key_bytes(self, key: Mapping[str, Any]) -> bytes:
        """The bytes under which a key is stored; raises KeyMismatch as `fetch` does."""
        columns = self.plan.keys.columns
        unknown = [name for name in key if name not in columns]
        missing = [name for name in columns if name not in key]
        if unknown or missing:
            found = f"unknown {unknown}" if unknown else f"missing {missing}"
            raise KeyMismatch(f"key {dict(key)}: {found}: expected are {_expected(columns)}")
        for name, data_type in columns.items():
            if not _fits(key[name], data_type):
                raise KeyMismatch(
                    f"key {name}={key[name]!r}: a {data_type.name} is expected (expected are "
                    f"{_expected(columns)})"
                )
        return self.plan.keys.encode([key[name] for name in columns])

    @cached_property
    def _sawtooth(self) -> Sawtooth:
        return Sawtooth(self.plan.group_by, self.plan.aggregator.columns)

    @cached_property
    def _windowed_rows(self) -> WindowedRows:
        return WindowedRows(self.plan.group_by, self.plan.inputs)

    def reads(self, at_ms: int) -> list[Span]:
        """The spans of tiles that a fetch reads for each key: one for each family of tiles."""
        widest: dict[int, Span] = {}
        for span in self._sawtooth.spans(self.plan.specs, at_ms).values():
            known = widest.get(span.spec.size_ms, span)
            start_ms = min(known.start_ms, span.start_ms)
            widest[span.spec.size_ms] = Span(span.spec, start_ms, max(known.end_ms, span.end_ms))
        return list(widest.values())

    def _of_tiles(self, keys: list[bytes], at_ms: int) -> list[dict[str, Any]]:
        spans = self.reads(at_ms)
        dataset = self.plan.group_by.streaming_dataset
        found = self.store.multi_get(
            [
                GetRequest(key, dataset, span.start_ms, span.end_ms, span.spec.size_ms)
                for key in keys
                for span in spans
            ]
        )
        values = []
        for index in range(len(keys)):
            mine = found[index * len(spans) : (index + 1) * len(spans)]
            tiles = [
                TiledIr(span.spec, value.ts_ms, self.plan.tiles.decode(value.value_bytes)[0])
                for span, timed in zip(spans, mine, strict=True)
                for value in timed
            ]
            values.append(self._sawtooth.of_tiles(tiles, self.plan.specs, at_ms))
        return values

    def _of_rows(self, keys: list[bytes], at_ms: int) -> list[dict[str, Any]]:
        dataset = self.plan.group_by.streaming_dataset
        found = self.store.multi_get(
            [GetRequest(key, dataset, self._earliest_ms(at_ms), at_ms, 0) for key in keys]
        )
        return [
            self._windowed_rows.of_rows(
                [(value.ts_ms, self.plan.rows.decode(value.value_bytes)) for value in timed], at_ms
            )
            for timed in found
        ]

    def _earliest_ms(self, at_ms: int) -> int:
        windows = [feature.part.window for feature in self.plan.group_by.features]
        bounded = [window for window in windows if window is not None]
        if len(bounded) < len(windows):
            return MIN_MS
        return min(at_ms - window.millis - window.hop_ms for window in bounded)


_BITS = {BYTE: 7, SHORT: 15, INT: 31, LONG: 63}


def _expected(columns: Mapping[str, DataType]) -> str:
    return ", ".join(f"{name} ({data_type.name})" for name, data_type in columns.items())


def _fits(value: Any, data_type: DataType) -> bool:
    if value is None:
        return True
    if data_type == BOOLEAN:
        return isinstance(value, bool)
    if data_type in FLOATS:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    kinds = {STRING: str, BINARY: bytes}
    if data_type in kinds:
        return isinstance(value, kinds[data_type])
    most = 1 << _BITS[data_type]
    return isinstance(value, int) and not isinstance(value, bool) and -most <= value < most


def parse_key(texts: Sequence[str], columns: Mapping[str, DataType]) -> dict[str, Any]:
    """Key values from the command line: `["customer_id=Alice", "shop=3"]`.

    Raises:
        KeyMismatch: not of the form NAME=VALUE, or a value that is not of the column's type.
    """
    key: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise KeyMismatch(f"--key={text}: NAME=VALUE is expected, for {_expected(columns)}")
        key[name] = _parsed(name, value, columns[name]) if name in columns else value
    return key


def _parsed(name: str, text: str, data_type: DataType) -> Any:
    if data_type == STRING:
        return text
    if data_type == BINARY:
        return text.encode()
    if data_type == BOOLEAN and text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        if data_type != BOOLEAN:
            return float(text) if data_type in FLOATS else int(text)
    except ValueError:
        pass
    raise KeyMismatch(f"--key={name}={text}: a {data_type.name} is expected")
