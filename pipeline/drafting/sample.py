"""Reads the first events of a source, so that a GroupBy can be guessed from them."""

import pyarrow as pa

from chronon_beam.io.sources import open_source
from chronon_beam.pipeline.options import UsageError
from chronon_beam.pipeline.prepare import source_serde


def first_events(source_uri: str) -> pa.RecordBatch:
    """Up to some thousand events from the beginning of a source, decoded.

    Raises:
        UsageError: no event can be read.
        ValueError, FileNotFoundError: as the source raises them.
    """
    source = open_source(source_uri)
    serde, schema = source_serde(source, source_uri)
    decoder = serde.decoder(schema)
    for messages in source.head(schema):
        events = decoder.decode(messages).batch
        if events.num_rows:
            return events
    raise UsageError(f"{source_uri}: there is no event to look at")
