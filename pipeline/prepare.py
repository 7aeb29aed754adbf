"""Makes a Job from flags, and refuses a wrong configuration before anything starts."""

from copy import copy
from dataclasses import dataclass, replace

import pyarrow as pa

from chronon_beam.aggregator.plan import Plan
from chronon_beam.api.group_by import GroupBy
from chronon_beam.api.load import load_computable
from chronon_beam.api.serde import SerDe
from chronon_beam.api.validation import require_temporal
from chronon_beam.fetcher.serving_info import ServingInfo
from chronon_beam.io.kafka.topic_string import uri_of
from chronon_beam.io.kv_store import KVStore, open_store
from chronon_beam.io.metrics import GroupByMetrics
from chronon_beam.io.sources import Source, open_source
from chronon_beam.pipeline.derive import spark_derivations
from chronon_beam.pipeline.job import Job
from chronon_beam.pipeline.options import JobOptions, UsageError
from chronon_beam.pipeline.overlap import inputs_of, outputs_of, refuse_overlap
from chronon_beam.transforms.attributes import with_attributes
from chronon_beam.transforms.envelope import is_envelope, unfolded_schema
from chronon_beam.transforms.evaluate import plan_of, sql_query
from chronon_beam.transforms.serdes import open_serde
from chronon_beam.transforms.spark.compiled_query import compile_query
from chronon_beam.transforms.spark.query import SqlQuery
from chronon_beam.transforms.spark.session import parse_ddl


@dataclass(frozen=True)
class SourceEvents:
    """The events of a source.

    Attributes:
        uri: the URI of the source.
        source: where events come from.
        serde: decodes its messages.
        schema: the columns of the events.
    """

    uri: str
    source: Source
    serde: SerDe
    schema: pa.Schema


@dataclass(frozen=True)
class Planned:
    """A GroupBy over the events of a source.

    Attributes:
        source: where events come from.
        serde: decodes the messages of the source.
        query: the selects and wheres over the schema of the events.
        plan: the GroupBy with the types that Spark gives its columns.
        changes: see `Job.changes`.
    """

    source: Source
    serde: SerDe
    query: SqlQuery
    plan: Plan
    changes: pa.Schema | None = None


@dataclass(frozen=True)
class Prepared:
    """A job that can be applied to a pipeline, its source, and what fetchers must know of it."""

    job: Job
    source: Source
    info: ServingInfo

    @property
    def group_by(self) -> GroupBy:
        """What the job computes."""
        return self.info.plan.group_by

    def over(self, info: ServingInfo) -> "Prepared":
        """The same job into a dataset whose tiles have the versions of `info`."""
        return replace(self, job=replace(self.job, plan=info.plan), info=info)


def source_uri(group_by: GroupBy, given: str | None, kafka_bootstrap: str | None) -> str:
    """Where events come from: the source that is given, else the topic of the GroupBy.

    Raises:
        UsageError: there is no source and no topic.
        ValueError: the topic cannot be read, or its brokers are not known.
    """
    if given is not None:
        return given
    if not group_by.source.topic:
        raise UsageError(
            f"{group_by.name} has no topic: say where events come from with --source, for example "
            "--source=file:events.jsonl"
        )
    return uri_of(group_by.source.topic, kafka_bootstrap)


def source_serde(source: Source, uri: str) -> tuple[SerDe, pa.Schema]:
    """The serde of the source's messages, and the schema of the events.

    The schema is what the user gives, else what the source knows, else what the serde knows.

    Raises:
        UsageError: none of them knows the schema.
        ValueError: no serde has the name of the source's format, or a parameter is wrong.
    """
    serde = open_serde(source.format)
    schema = parse_ddl(source.ddl) if source.ddl is not None else source.schema() or serde.schema()
    if schema is None or not schema.names:
        raise UsageError(
            f"--source={uri}: the schema of its events is not known: add it, for example "
            f"{uri}?schema=customer_id STRING, created BIGINT"
        )
    attributes = source.attributes()
    if not attributes.names:
        return serde, schema
    whole = with_attributes(serde, attributes, schema, first=source.attributes_first)
    return whole, whole.schema()


def planned(
    group_by: GroupBy,
    uri: str,
    layout: str = "tumbling",
    mutations: bool = True,
    reach: bool = True,
) -> Planned:
    """A GroupBy over a source's events, planned by Spark; raises as `prepare` does.

    With `mutations`, the rows of an entity source are changes; otherwise they are a snapshot. For
    `reach`, see `events_of`.
    """
    return planned_over(group_by, events_of(uri, reach), layout, mutations)


def events_of(uri: str, reach: bool = True) -> SourceEvents:
    """The events of the source that `uri` names.

    With `reach`, a source that is not there is refused; otherwise the source is read only for a
    schema that is not given.

    Raises:
        UsageError, ValueError: see `open_source` and `source_serde`.
    """
    source = open_source(uri)
    if reach:
        source.reach()
    return SourceEvents(uri, source, *source_serde(source, uri))


def planned_over(
    group_by: GroupBy, events: SourceEvents, layout: str = "tumbling", mutations: bool = True
) -> Planned:
    """A GroupBy over events, planned by Spark; raises as `planned` does."""
    schema = events.schema
    changes = schema if group_by.is_entities and mutations and is_envelope(schema) else None
    query = sql_query(group_by, unfolded_schema(changes) if changes else schema, mutations)
    plan = plan_of(group_by, compile_query(query), layout)
    spark_derivations(plan)  # refuses a wrong derivation before anything is written
    return Planned(copy(events.source), events.serde, query, plan, changes)


def streamed_group_by(options: JobOptions) -> GroupBy:
    """The GroupBy of a job; raises GroupByError if it cannot be run."""
    group_by = load_computable(options.group_by, options.dialect)
    require_temporal(group_by)
    return group_by


def source_of_job(options: JobOptions, group_by: GroupBy) -> Source:
    """The source of a job; raises as `source_uri` does, and ValueError for a malformed URI."""
    return open_source(source_uri(group_by, options.source, options.kafka_bootstrap))


def refuse_outputs_that_are_inputs(options: JobOptions, store: KVStore) -> None:
    """Refuse a job that would write over what it reads; raises UsageError."""
    refuse_overlap(
        inputs_of(options.group_by, options.source),
        outputs_of(options.store, store, options.dead_letters),
    )


def prepare(options: JobOptions, group_by: GroupBy, reach: bool = True) -> Prepared:
    """Compile and check a job; nothing is written. For `reach`, see `events_of`.

    Raises:
        GroupByError: the GroupBy cannot be run.
        QueryError: Spark refuses a select or a where.
        UsageError, ValueError: the value of a flag is wrong.
    """
    uri = source_uri(group_by, options.source, options.kafka_bootstrap)
    return prepare_over(options, group_by, events_of(uri, reach))


def prepare_over(options: JobOptions, group_by: GroupBy, events: SourceEvents) -> Prepared:
    """Compile and check a job over events; raises as `prepare` does."""
    found = planned_over(group_by, events, options.layout)
    found.source.count = GroupByMetrics(group_by.name)
    found.source.live = replace(options.live, reader=f"chronon-{group_by.name}")
    tiled = options.tiling is not None
    shards = options.tiling.shards if options.tiling is not None else None
    info = ServingInfo(found.plan.checked(tiled), tiled, shards=shards)
    job = Job(
        plan=info.plan,
        query=found.query,
        store_uri=options.store,
        tiling=options.tiling,
        changes=found.changes,
        serde=found.serde,
    )
    return Prepared(job, found.source, info)


def reached_store(uri: str) -> KVStore:
    """The store, once it has answered: a store that is down is refused before Spark starts.

    Raises:
        ValueError: the URI is wrong.
        Others: the store does not answer; they are those of its client.
    """
    store = open_store(uri)
    try:
        store.reach()
    except BaseException:
        store.close()
        raise
    return store
