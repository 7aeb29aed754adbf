"""The `kafka:` source: what a URI means to a job; `ReadFromKafka` reads the topics."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.value_provider import ValueProvider

from chronon_beam.api.evaluation import StartEvaluation
from chronon_beam.api.records import Failure
from chronon_beam.api.serde import Format
from chronon_beam.io.kafka.attributes import COLUMNS
from chronon_beam.io.kafka.cluster import Cluster
from chronon_beam.io.kafka.launched import without_place
from chronon_beam.io.kafka.options import KafkaOptions, parse_options
from chronon_beam.io.kafka.read import ReadFromKafka, ReadRowsFromKafka
from chronon_beam.io.kafka.sample import sampled_columns
from chronon_beam.io.live import LiveSettings
from chronon_beam.io.sources import JSON, Source


@dataclass
class KafkaSource(Source):
    """Reads topics.

    Attributes:
        options: which topics, and from where to where.
        live: see `Source.live`.
        inferred: see `Source.inferred`.
        uri: see `Source.launched`; None reads what `options` say.
    """

    options: KafkaOptions
    live: LiveSettings = LiveSettings()
    inferred: str | None = None
    uri: ValueProvider | None = None

    @classmethod
    def from_uri(cls, uri: str) -> "KafkaSource":
        """The source of `kafka://HOST:PORT/TOPIC?...`; raises ValueError as `parse_options`."""
        return cls(parse_options(uri))

    @property
    def ddl(self) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """See `Source.ddl`."""
        return self.options.ddl

    @property
    def format(self) -> Format:  # pyright: ignore[reportIncompatibleVariableOverride]
        """See `Source.format`."""
        return self.options.format

    @property
    def bounded(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the URI has a `stop`."""
        return self.options.bounded

    @property
    def evaluates(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether reading never ends: only then is anything promised."""
        return not self.options.bounded

    def launched(self, uri: ValueProvider) -> "KafkaSource":
        """See `Source.launched`; raises ValueError for a source with a `stop`."""
        return replace(self, options=without_place(self.options), uri=uri)

    def reach(self) -> None:
        """Ask the brokers; raises ConnectionError within ten seconds, ValueError for no topic."""
        Cluster(self.options).check()

    def schema(self) -> pa.Schema | None:
        """The columns that the newest records have, if they are JSON of which nothing is said.

        Raises:
            ValueError: there is no JSON object to infer columns from.
            ConnectionError: no broker answers in ten seconds.
        """
        if self.format != JSON:
            return None
        columns, self.inferred = sampled_columns(self.options)
        return columns

    def attributes(self) -> pa.Schema:
        """The key, the headers and the timestamp of a record."""
        return COLUMNS

    def attributes_again(self, failures: Sequence[Failure]) -> pa.RecordBatch:
        """Key, headers and timestamp, as the letters hold them."""
        rows = [
            {
                "__key": each.key,
                "__headers": list(dict(each.headers).items()),
                "__kafka_timestamp": each.event_time_ms,
            }
            for each in failures
        ]
        return pa.RecordBatch.from_pylist(rows, COLUMNS)

    def transform(self, columns: pa.Schema) -> beam.PTransform:
        """See `Source.transform`."""
        return ReadFromKafka(self.options, columns, self.live, self.count, self.uri)

    def rows(self, columns: pa.Schema, evaluation: StartEvaluation) -> beam.PTransform:
        """See `Source.rows`."""
        return ReadRowsFromKafka(
            self.options, columns, self.live, self.count, self.uri, evaluation=evaluation
        )
