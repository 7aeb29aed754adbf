"""A source with an end that promises as a live one does: JSON lines, out of order by a minute."""

import json
from itertools import accumulate
from pathlib import Path

import apache_beam as beam
import pyarrow as pa

from chronon_beam.api.records import MIN_MS, Messages
from chronon_beam.io import sources
from chronon_beam.io.sources import Source
from chronon_beam.io.uri import parse_uri

DISORDER_MS = 60_000


class Promised(Source):
    """The lines of `promised:PATH?schema=...`, whose events have their time in `t`."""

    SCHEME = "promised"

    def __init__(self, uri: str) -> None:
        parsed = parse_uri(uri)
        self.ddl = parsed.parameters["schema"]
        self._path = Path(parsed.location)

    def transform(self, columns: pa.Schema) -> beam.PTransform:
        lines = self._path.read_bytes().splitlines()
        newest = accumulate((json.loads(each)["t"] for each in lines), max)
        promised_ms = [MIN_MS, *(each - DISORDER_MS - 1 for each in newest)][: len(lines)]
        positions = list(range(len(lines)))
        log = Messages("log/0", positions, lines, promised_ms=pa.array(promised_ms))
        return beam.Create([log], reshuffle=False)


sources.BUILT_IN[Promised.SCHEME] = "promised:Promised"
