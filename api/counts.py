"""The metrics of a job: the table of all of them, and the function by which a stage counts.

The members of `Metric` are the table; docs/metrics.md is made from it. Where Chronon's Flink job
has a metric of the same quantity, the name is Chronon's. The counts of a job add up (see
`pipeline.summary`), where `dead` are the dead letters of the steps that take events and rows:

    messages + extra_rows = rows + filtered + deserialization_errors + spark_expr_eval_errors
"""

from collections.abc import Callable, Mapping
from enum import Enum, StrEnum
from typing import Protocol


class Count(Protocol):
    """Takes what a stage measures, in a worker, at most a few times per batch."""

    def __call__(self, name: str, number: int, part: str = "") -> None:
        """Record a number.

        Args:
            name: of the metric; a `Metric`, or a name that begins with `UNREAD`.
            number: is added to a counter, is one more value of a distribution, replaces a gauge.
            part: which part of the worker process a gauge is of, where several parts have it.
        """
        ...


class Kind(StrEnum):
    """What becomes of the numbers of a metric."""

    COUNTER = "counter"
    """They are added up."""
    DISTRIBUTION = "distribution"
    """They are spread out: how many, their sum, least and greatest, and a histogram."""
    GAUGE = "gauge"
    """The last one counts. The parts of a worker process are added up; of times, the longest
    counts."""
    LEAST = "least"
    """The least one counts."""
    GREATEST = "greatest"
    """The greatest one counts."""


class MetricUnit(Enum):
    """What the numbers of a metric are, and how many of them are one of Prometheus' base unit."""

    NUMBER = "", 1
    BYTES = "bytes", 1
    MICROS = "seconds", 1_000_000
    MILLIS = "seconds", 1_000
    SECONDS = "seconds", 1

    def __init__(self, base: str, per_base: int) -> None:
        self.base = base
        self.per_base = per_base


class Metric(StrEnum):
    """The metrics of a job.

    Attributes:
        kind: what becomes of its numbers.
        help: a description for people.
        unit: of its numbers.
        step: the step whose dead letters it counts, see `Failure.step`; else empty.
    """

    kind: Kind
    help: str
    unit: MetricUnit
    step: str

    def __new__(
        cls, name: str, kind: Kind, text: str, unit: MetricUnit = MetricUnit.NUMBER, step: str = ""
    ) -> "Metric":
        """A member that is its own name."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.kind, member.help, member.unit, member.step = kind, text, unit, step
        return member

    MESSAGES = "messages", Kind.COUNTER, "Messages that were read, each of which should be an event"
    MESSAGE_BYTES = (
        "message_bytes",
        Kind.COUNTER,
        "Bytes of these messages; tables, as of Parquet, have none",
        MetricUnit.BYTES,
    )
    BATCH_MESSAGES = "batch_messages", Kind.DISTRIBUTION, "How many messages a batch has"
    READ_LAG = "read_lag", Kind.GAUGE, "Kafka records that are there and have not been read"
    EVENT_TIME_LAG = (
        "event_time_lag_ms",
        Kind.GAUGE,
        "How old the newest event of a topic was when it was read",
        MetricUnit.MILLIS,
    )
    WATERMARK_LAG = (
        "watermark_lag_ms",
        Kind.GAUGE,
        "How far the watermark of a live source is behind now",
        MetricUnit.MILLIS,
    )
    TOMBSTONES = "tombstones", Kind.COUNTER, "Kafka records without a value, which are not messages"
    AHEAD = (
        "ahead",
        Kind.COUNTER,
        "Kafka records with an event time too far ahead of theirs, or of now, to promise anything",
    )
    LOST = (
        "lost",
        Kind.COUNTER,
        "Ranges of Kafka offsets that were deleted before they were read, each with a dead letter",
    )
    REDELIVERED = "redelivered", Kind.COUNTER, "Pub/Sub messages that came again and were left out"
    DEAD_READ = "dead_read", Kind.COUNTER, "Input that could not be read", MetricUnit.NUMBER, "Read"
    DEAD_DECODE = (
        "deserialization_errors",
        Kind.COUNTER,
        "Messages that are not events",
        MetricUnit.NUMBER,
        "Decode",
    )
    ROWS = "rows", Kind.COUNTER, "Rows that the query made of the events"
    EXTRA_ROWS = (
        "extra_rows",
        Kind.COUNTER,
        "Rows beyond the first of their event: explode makes such rows, and changes of entities",
    )
    FILTERED = (
        "filtered",
        Kind.COUNTER,
        "Events without a row, because a where was not true or nothing was left to explode",
    )
    SPARK_TIME = (
        "spark_expr_eval_time",
        Kind.DISTRIBUTION,
        "How long Spark took for the query over a batch of events",
        MetricUnit.MICROS,
    )
    DEAD_EVALUATE = (
        "spark_expr_eval_errors",
        Kind.COUNTER,
        "Events of which Spark, or a check of its rows, made no row",
        MetricUnit.NUMBER,
        "Evaluate",
    )
    EARLIEST_S = "earliest_event_s", Kind.LEAST, "The earliest time of a row", MetricUnit.SECONDS
    LATEST_S = "latest_event_s", Kind.GREATEST, "The latest time of a row", MetricUnit.SECONDS
    TILES = "tiles", Kind.COUNTER, "Tiles that were made to be written; one counts each time"
    LATE = (
        "tiling.late_events",
        Kind.COUNTER,
        "Events that came after their tile had closed, and were merged into it",
    )
    LIVE_TILES = "live_tiles", Kind.GAUGE, "Tiles that a worker keeps in memory"
    LOG_BYTES = (
        "tile_log_bytes",
        Kind.GAUGE,
        "How large the logs of these tiles are in the runner's state",
        MetricUnit.BYTES,
    )
    DEAD_TILE = (
        "tiling_process_function_error",
        Kind.COUNTER,
        "Rows that no tile could take, or that came too late under --late=dead_letter",
        MetricUnit.NUMBER,
        "Tile",
    )
    DEAD_REPEATED = (
        "dead_repeated",
        Kind.COUNTER,
        "Dead letters beyond the first of a row: where a row has several tiles, each may refuse it",
    )
    DEAD_DELETE = (
        "dead_delete",
        Kind.COUNTER,
        "Rows that were taken back from some columns only",
        MetricUnit.NUMBER,
        "Delete",
    )
    DEAD_CONVERT = (
        "avro_conversion_errors",
        Kind.COUNTER,
        "Rows that Avro cannot hold",
        MetricUnit.NUMBER,
        "Convert",
    )
    OUTSIDE = "outside", Kind.COUNTER, "Rows of an upload in no window, or after the batch's end"
    DEAD_FOLD = (
        "dead_fold",
        Kind.COUNTER,
        "Rows of an upload that could not be aggregated",
        MetricUnit.NUMBER,
        "Fold",
    )
    VALUES = "values", Kind.COUNTER, "Batch values that an upload made, one per key"
    DEAD_UNITE = (
        "dead_unite",
        Kind.COUNTER,
        "Batch values that an upload could not make",
        MetricUnit.NUMBER,
        "Unite",
    )
    WRITTEN = "kvstore_writer.successes", Kind.COUNTER, "Requests that the store has taken"
    WRITTEN_BYTES = (
        "kvstore_writer.bytes",
        Kind.COUNTER,
        "Bytes of the values that were sent to the store",
        MetricUnit.BYTES,
    )
    REPAIRED = "repaired", Kind.COUNTER, "Writes that merged late events into a stored tile"
    RETRIED = (
        "kvstore_writer.retries",
        Kind.COUNTER,
        "Requests that were sent again because the store had not taken them",
    )
    DEAD_WRITE = (
        "kvstore_writer.errors",
        Kind.COUNTER,
        "Requests that the store has not taken at any attempt",
        MetricUnit.NUMBER,
        "Write",
    )
    WRITE_TIME = (
        "multiput_time",
        Kind.DISTRIBUTION,
        "How long the store took for a batch of requests, with all attempts",
        MetricUnit.MILLIS,
    )
    WRITE_BATCH = "write_batch", Kind.DISTRIBUTION, "How many requests the store was given at once"
    BUNDLE = "bundle", Kind.DISTRIBUTION, "How many requests a bundle has written"
    CREATED_TO_SINK = (
        "event_created_to_sink_time",
        Kind.DISTRIBUTION,
        "How old the newest event of a batch of requests was when the store had taken them; "
        "closing writes of tiles do not count",
        MetricUnit.MILLIS,
    )
    FRESHNESS = (
        "freshness_ms",
        Kind.GAUGE,
        "The last event_created_to_sink_time",
        MetricUnit.MILLIS,
    )


EXTREMES: Mapping[str, Callable[[int, int], int]] = {
    metric: min if metric.kind is Kind.LEAST else max
    for metric in Metric
    if metric.kind in (Kind.LEAST, Kind.GREATEST)
}
"""The function that makes one value of two, for metrics that keep the least or greatest value."""

UNREAD = "unread: "
"""How the name of a counter begins that says which input could not be read, and how far it was."""


def namespace_of(group_by: str) -> str:
    """The namespace of a GroupBy's metrics in Beam.

    >>> namespace_of("quickstart.purchases.v1")
    'chronon.feature_group.quickstart.purchases.v1'
    """
    return f"chronon.feature_group.{group_by}" if group_by else "chronon"


_DEAD = {metric.step: metric for metric in Metric if metric.step}


def kind_of(name: str) -> Kind:
    """The kind of the metric `name`; a name that is not in the table names a counter."""
    return _KINDS.get(name, Kind.COUNTER)


_KINDS: dict[str, Kind] = {metric: metric.kind for metric in Metric}


def dead(step: str) -> Metric:
    """The metric of a step's dead letters; `step` is that of `Failure.step`.

    >>> dead("Decode")
    <Metric.DEAD_DECODE: 'deserialization_errors'>
    """
    return _DEAD[step]


def uncounted(name: str, number: int, part: str = "") -> None:
    """A `Count` that keeps nothing, for a stage outside of a job."""
