"""The `pubsub:` source: live messages of a subscription, read by `ReadFromPubsub`."""

from dataclasses import dataclass

import apache_beam as beam
import pyarrow as pa

from chronon_beam.api.serde import Format
from chronon_beam.io.live import LiveSettings
from chronon_beam.io.pubsub.attributes import COLUMNS
from chronon_beam.io.pubsub.options import PubsubOptions, parse_options
from chronon_beam.io.pubsub.read import ReadFromPubsub
from chronon_beam.io.pubsub.subscription import Subscription
from chronon_beam.io.sources import Source


@dataclass
class PubsubSource(Source):
    """Reads a subscription.

    Attributes:
        options: which.
        live: see `Source.live`.
    """

    options: PubsubOptions
    live: LiveSettings = LiveSettings()

    bounded = False

    @classmethod
    def from_uri(cls, uri: str) -> "PubsubSource":
        """For `pubsub://PROJECT/subscriptions/NAME?...`; raises ValueError as `parse_options`."""
        return cls(parse_options(uri))

    @property
    def ddl(self) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """See `Source.ddl`."""
        return self.options.ddl

    @property
    def format(self) -> Format:  # pyright: ignore[reportIncompatibleVariableOverride]
        """See `Source.format`."""
        return self.options.format

    def reach(self) -> None:
        """Check the subscription, or make that of a topic; raises as `Subscription.check`."""
        subscription = Subscription(self.options, self.live.reader)
        try:
            subscription.check()
        finally:
            subscription.close()

    def attributes(self) -> pa.Schema:
        """Attributes, id, ordering key and publish time."""
        return COLUMNS

    def transform(self, columns: pa.Schema) -> beam.PTransform:
        """See `Source.transform`."""
        return ReadFromPubsub(self.options, columns, self.live, self.count)
