"""Running whole jobs in tests: source and sink swapped, everything between them the product's."""

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions
from construction import ask_once

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.group_by import GroupBy
from chronon_beam.api.records import Failure, Messages, PutRequest
from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.io import kv_store
from chronon_beam.io.kv_store import MemoryStore, open_store
from chronon_beam.pipeline.job import Job, build
from chronon_beam.pipeline.metrics import JobCounts
from chronon_beam.pipeline.runners.embedded import embedded_runner
from chronon_beam.pipeline.summary import Totals
from chronon_beam.transforms.envelope import is_envelope, unfolded_schema
from chronon_beam.transforms.evaluate import plan_of, sql_query
from chronon_beam.transforms.spark.compiled_query import compile_query
from chronon_beam.transforms.tiling.settings import Tiling

_numbers = itertools.count()
_sources: dict[str, list[Messages]] = {}
_dead: dict[str, list[Failure]] = {}
_written: dict[str, list[PutRequest]] = {}


class Recording(MemoryStore):
    """A store that remembers every write in order."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.writes = _written.setdefault(name, [])

    def multi_put(self, requests: list[PutRequest]) -> list[str | None]:
        self.writes += requests
        return super().multi_put(requests)


def open_recording(uri: str) -> Recording:
    """Found by its URI, as third parties' stores are."""
    return Recording(uri)


kv_store.BUILT_IN["recording"] = "jobs:open_recording"


class CollectDead(beam.PTransform):
    """Dead letters into a list of this process."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def expand(self, failures: Any) -> Any:
        return failures | beam.Map(_bury, self._name)


def _bury(failure: Failure, name: str) -> None:
    _dead.setdefault(name, []).append(failure)


class ReadMemory(beam.PTransform):
    """Messages of this process; `Create` would compress them into the pipeline."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def expand(self, root: Any) -> Any:
        return root | beam.Create([self._name], reshuffle=False) | beam.FlatMap(_messages)


def _messages(name: str) -> list[Messages]:
    return _sources[name]


@dataclass(frozen=True)
class Outcome:
    """What a job has done."""

    plan: Plan
    store: Recording
    dead: list[Failure]
    counts: Mapping[str, int]
    tiled: bool

    @property
    def writes(self) -> list[PutRequest]:
        return [w for w in self.store.writes if w.dataset == self.plan.group_by.streaming_dataset]

    def features(self, keys: Sequence[Mapping[str, Any]], at_ms: int) -> list[dict[str, Any]]:
        return Fetcher(self.plan, self.store, self.tiled).fetch(keys, at_ms)

    @property
    def totals(self) -> Totals:
        return Totals(self.counts)

    def nothing_is_missing(self) -> bool:
        return self.totals.missing == 0


def batches_of(events: Iterable[Any], size: int = 1000, source: str = "test") -> list[Messages]:
    """Events (dicts, or lines as they are) as messages with positions from 1."""
    lines = [e if isinstance(e, bytes) else json.dumps(e).encode() for e in events]
    return [
        Messages(source, list(range(at + 1, at + 1 + len(part))), part)
        for at in range(0, len(lines), size)
        if (part := lines[at : at + size])
    ]


def job_of(
    group_by: GroupBy,
    schema: pa.Schema,
    *,
    tiled: bool = True,
    layout: str = "tumbling",
    mutations: bool = True,
    **tiling: Any,
) -> Job:
    """A job that writes to a recording store of its own; `tiling` are fields of `Tiling`."""
    changes = schema if group_by.is_entities and is_envelope(schema) else None
    query = sql_query(group_by, unfolded_schema(changes) if changes else schema, mutations)
    plan = plan_of(group_by, compile_query(query), layout).checked(tiled)
    name = f"recording:{next(_numbers)}"
    chosen = Tiling(**{"shards": 2, **tiling}) if tiled else None
    return Job(plan, query, name, chosen, changes)


def run(job: Job, source: beam.PTransform, runner: Any = None, **options: Any) -> Outcome:
    """Run to the end."""
    name = job.plan.group_by.name
    counts = JobCounts([(name,)])
    pipeline_options = PipelineOptions([], **options)
    ask_once()
    with beam.Pipeline(
        runner=runner or embedded_runner(buffered=False), options=pipeline_options
    ) as root:
        build(root, job, source, CollectDead(job.store_uri))
    store = open_store(job.store_uri)
    assert isinstance(store, Recording)
    return Outcome(job.plan, store, _dead.get(job.store_uri, []), counts.now()[name], job.tiled)


def run_batches(job: Job, batches: list[Messages]) -> Outcome:
    """Run over messages in memory."""
    _sources[job.store_uri] = batches
    return run(job, ReadMemory(job.store_uri))
