"""The newest records of a source's topics, to infer columns from before a job is built."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pyarrow as pa

from chronon_beam.api.formats.inferred_schema import infer_schema
from chronon_beam.api.formats.json_values import sql_name
from chronon_beam.api.records import MIN_MS
from chronon_beam.io.kafka.changes import Readers
from chronon_beam.io.kafka.cluster import WITHIN_S, Cluster
from chronon_beam.io.kafka.options import Border, KafkaOptions
from chronon_beam.io.kafka.progress import Progress, Vector
from chronon_beam.io.kafka.session import Session
from chronon_beam.io.live import LiveSettings

SAMPLE = 1000
"""Records that columns are inferred from, over all partitions."""

_WAIT_S = 0.5
_GROUP = "chronon-beam-sample"
"""The name of the consumer group; no offset is committed to it."""


def newest_payloads(options: KafkaOptions, most: int = SAMPLE) -> list[bytes]:
    """Values of the newest records, an equal share from each partition.

    Raises:
        Unreachable: no broker answers in time.
    """
    cluster = Cluster(options)
    found = cluster.partitions()
    spans = cluster.spans(each.place for each in found)
    share = -(-most // max(len(found), 1))
    partitions = [
        Progress(
            place, topic_id, max(spans[place].first, spans[place].end - share), spans[place].end
        )
        for place, topic_id in found
    ]
    vector = Vector(False, tuple(each for each in partitions if not each.done))
    return list(_payloads(options, vector)) if vector.partitions else []


def _payloads(options: KafkaOptions, vector: Vector) -> Iterator[bytes]:
    bounded = replace(options, stop=Border("end"))
    session = Session(
        bounded, LiveSettings(), options.group or _GROUP, Readers(0, 1), pa.schema([])
    )
    with closing(session):
        for step in session.read(vector, MIN_MS, _WAIT_S, WITHIN_S):
            for messages in step.outputs:
                yield from messages.payloads


def sampled_columns(options: KafkaOptions) -> tuple[pa.Schema, str]:
    """The columns of a topic's JSON objects, and a sentence for the user about them.

    Raises:
        ValueError: there is no JSON object to infer them from.
        Unreachable: no broker answers in time.
    """
    listed = ", ".join(options.topics)
    payloads = newest_payloads(options)
    remedy = "give the columns, as in ?schema=customer_id STRING, created BIGINT"
    if not payloads:
        raise ValueError(
            f"{listed} has no record, so the columns of its messages cannot be inferred: {remedy}"
        )
    columns = infer_schema(payloads)
    if not columns.names:
        raise ValueError(
            f"none of the newest {len(payloads):,} records of {listed} is a JSON object with a "
            f"field: name their format with ?format=, or {remedy}"
        )
    ddl = ", ".join(f"{each.name} {sql_name(each.type)}" for each in columns)
    return columns, (
        f"the columns of {listed} are inferred from its newest {len(payloads):,} records: {ddl}. "
        "A later start may infer others; ?schema= settles them"
    )
