"""Sources: what a job reads from, opened by the scheme of a URI.

A source gives `Messages` (`api.records`, with the rules that a source keeps): batches of payloads
with their positions. It does not decode them; its `format` names the serde that does.

The life of a source:

1. **Build.** The function that `BUILT_IN` or an entry point names makes a Source of the URI, and
   raises ValueError for a wrong one. `reach` finds out whether there is anything to read; `schema`
   and `attributes` give the columns; `units` gives the files, so that runs can add up.
2. **Run.** `transform` is the step of the job that reads.

The commands that look at a source without a job call `head`.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.value_provider import ValueProvider

from chronon_beam.api.counts import Count
from chronon_beam.api.evaluation import StartEvaluation
from chronon_beam.api.records import Failure, Messages
from chronon_beam.api.serde import Format
from chronon_beam.io.live import LiveSettings
from chronon_beam.io.metrics import GroupByMetrics
from chronon_beam.io.units import Unit
from chronon_beam.io.uri import opener_of

JSON, ARROW = Format("json"), Format("arrow")

BUILT_IN = {
    "file": "chronon_beam.io.files.source:FileSource.from_uri",
    "kafka": "chronon_beam.io.kafka.source:KafkaSource.from_uri",
    "pubsub": "chronon_beam.io.pubsub.source:PubsubSource.from_uri",
}
"""`module:attribute` by scheme; called with the URI it returns a `Source`."""

GROUP = "chronon_beam.sources"
"""Entry points of other packages: name = scheme, object = callable from URI to `Source`."""


class Source(ABC):
    """A source of `Messages`; see the module's docstring for its life.

    Attributes:
        ddl: Spark DDL given by the user (`?schema=`), else None.
        format: which serde the messages need: `JSON` for JSON objects, `ARROW` for tables, or any
            other that `transforms.serdes` or an installed package has, with its parameters.
        bounded: whether reading ends.
        attributes_first: of an attribute and a column of the payload with one name, whether the
            attribute is taken.
        live: the job's settings for a source that never ends; set before `transform` or `rows`.
        count: where the reading step counts; set before `transform` or `rows`.
        inferred: a sentence for the user that says what `schema` was inferred from, if a later
            start may infer another one; set by `schema`.
        evaluates: whether the promises of the source follow from the times of the job's rows: then
            a job with tiles calls `rows` instead of `transform`.
    """

    ddl: str | None = None
    format: Format = JSON
    bounded: bool = True
    attributes_first: bool = False
    live: LiveSettings = LiveSettings()
    count: Count = GroupByMetrics()
    inferred: str | None = None
    evaluates: bool = False

    @abstractmethod
    def transform(self, columns: pa.Schema) -> beam.PTransform:
        """The reading step, from the pipeline's root to a PCollection of `Messages`.

        Args:
            columns: what the job reads. A source of tables converts no other column, so that those
                cannot stop the job; a source of payloads need not look at it.
        """

    def rows(self, columns: pa.Schema, evaluation: StartEvaluation) -> beam.PTransform:
        """The reading step of a source that `evaluates`, from the root to its several outputs.

        The step calls an `Evaluation` for all that it reads, in the order of each partition, and
        yields the `outputs`: on a main output, or on one of the `tags` of the evaluation. The
        promise before a message follows from the times of the same GroupBy's rows before it.

        Args:
            columns: see `transform`.
            evaluation: starts the job's `Evaluation` in a worker.
        """
        raise NotImplementedError

    def launched(self, uri: ValueProvider) -> "Source":
        """The source for a template: each launch gives the URI that its workers open.

        The schema and the format of the events are those of this source for all launches.

        Raises:
            ValueError: the source needs its URI when a job is built.
        """
        raise ValueError(
            f"{type(self).__name__} cannot be given to a template, whose launches say what is "
            "read: give a source that never ends, for example kafka://broker:9092/orders"
        )

    def reach(self) -> None:
        """Find out whether there is anything to read: called when a job is built, before Spark.

        Raises:
            OSError: what is read from does not answer.
            ValueError: it does not have what is to be read.
        """
        return

    def takes(self, paths: Sequence[str]) -> list[str]:
        """Which of these local files the source reads, or would read once they exist.

        A job must not write to them.
        """
        return []

    def schema(self) -> pa.Schema | None:
        """The schema that the source itself knows, read when the job is built; None if it has none.

        It is asked for only if there is no `ddl`. If it is None, the serde's schema is used
        (`SerDe.schema`).
        """
        return None

    def units(self) -> list[Unit] | None:
        """What there is to read now, so that runs can add up; None if the source cannot tell.

        Each unit is a whole file. A source that has units has the two methods below.
        """
        return None

    def goes_on(self, read: Unit, now: Unit) -> bool:
        """Whether a file still begins with what was read of it, and whole lines come after that."""
        raise NotImplementedError

    def of_units(self, units: Sequence[Unit]) -> "Source":
        """The source that reads these units, and nothing else."""
        raise NotImplementedError

    def head(self, columns: pa.Schema) -> Iterator[Messages]:
        """The first messages, read in this process, for commands that show them.

        Raises:
            ValueError: the source cannot be read without a job.
        """
        raise ValueError(f"{type(self).__name__} cannot be looked into: give a file of its events")

    def attributes_again(self, failures: Sequence[Failure]) -> pa.RecordBatch | None:
        """`Messages.attributes` of messages that have become dead letters, one row each.

        By default the values are the texts in the `attributes` of the letters.
        """
        names = self.attributes().names
        if not names:
            return None
        known = [json.loads(each.attributes or "{}") for each in failures]
        texts = {
            name: [None if each.get(name) is None else str(each[name]) for each in known]
            for name in names
        }
        return pa.RecordBatch.from_pydict(texts, pa.schema([(name, pa.string()) for name in names]))

    def attributes(self) -> pa.Schema:
        """The columns of `Messages.attributes`: what the source knows of each message.

        The messages may have the values as texts that Arrow casts to these types.
        """
        return pa.schema([])


def open_source(uri: str) -> Source:
    """The source that `uri` names, for example `file:events.jsonl?schema=id STRING, ts BIGINT`.

    Raises:
        ValueError: unknown scheme or parameter, or a malformed URI.
    """
    return opener_of(uri, "source", BUILT_IN, GROUP)(uri)
