"""`WriteToBigtable`: a PTransform that writes the PutRequests of any pipeline to Bigtable.

Each request is stored, or comes out as a `Failure`.
"""

from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from chronon_beam.io.bigtable.options import bigtable_options
from chronon_beam.io.write import Write, Written


@dataclass
class WriteToBigtable(beam.PTransform):
    """PutRequests, or lists of them, to Bigtable.

    The outputs are `written`, how many requests each call has stored, and `failures`, one `Failure`
    per request that Bigtable refuses, with the request itself, Bigtable's code and message. Both
    are in the global window.

        results = requests | WriteToBigtable("bigtable://my-project/my-instance")
        results.failures | beam.Map(print)

    Attributes:
        uri: the instance, and further options: see `BigtableOptions`.

    Raises:
        ValueError: a malformed URI.
    """

    uri: str

    def __post_init__(self) -> None:
        super().__init__()
        bigtable_options(self.uri)

    def expand(self, requests: beam.PCollection[Any]) -> Written:
        """One step; tables are created by the first write to them."""
        return requests | "Write" >> Write(self.uri)
