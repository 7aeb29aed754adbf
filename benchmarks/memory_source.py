"""The benchmark's source: messages in the memory of this process, where all its workers run.

It is a module of its own, so that workers find it by name: a class of the script that is run would
be sent to the workers, with all of the events.
"""

from collections.abc import Iterator
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Duration, Timestamp
from workload import BEGIN_MS, Workload

from chronon_beam.api.records import Messages

_parts: list[list[Messages]] = []
"""What the source reads: it runs in this process with every runner that is offered here."""


class _Provider(RestrictionProvider):
    def initial_restriction(self, element: int) -> OffsetRange:
        return OffsetRange(0, len(_parts[element]))

    def create_tracker(self, restriction: OffsetRange) -> OffsetRestrictionTracker:
        return OffsetRestrictionTracker(restriction)

    def restriction_size(self, element: int, restriction: OffsetRange) -> int:
        return restriction.size()

    def split(self, element: int, restriction: OffsetRange) -> Iterator[OffsetRange]:
        yield restriction


class ReadFn(beam.DoFn):
    """One batch of messages per bundle, as a live source would give them."""

    @beam.DoFn.unbounded_per_element()
    def process(
        self,
        element: int,
        tracker: Any = beam.DoFn.RestrictionParam(_Provider()),
        watermark: Any = beam.DoFn.WatermarkEstimatorParam(
            ManualWatermarkEstimator.default_provider()
        ),
    ) -> Iterator[Any]:
        at = tracker.current_restriction().start
        if not tracker.try_claim(at):
            return
        batch = _parts[element][at]
        promised = Timestamp(micros=batch.promised_ms[0].as_py() * 1000)
        yield TimestampedValue(batch, promised)
        watermark.set_watermark(promised)
        if at + 1 < len(_parts[element]):
            tracker.defer_remainder(Duration(0))
        else:
            tracker.try_claim(at + 1)


class ReadMemory(beam.PTransform):
    """The parts: each batch in a bundle of its own, or on the embedded runner all in one.

    The embedded runner lets all timers of a bundle fire with the first of them, so a source that
    pauses between bundles would see its windows closed early there.
    """

    def __init__(self, pauses: bool) -> None:
        super().__init__()
        self._pauses = pauses

    def expand(self, root: Any) -> Any:
        """One element a part."""
        parts = root | beam.Create(range(len(_parts)), reshuffle=False) | beam.Reshuffle()
        return parts | (beam.ParDo(ReadFn()) if self._pauses else beam.FlatMap(_batches))


def _batches(part: int) -> list[Messages]:
    # Without pauses there are no watermarks either: nothing is late before the end.
    return [batch._replace(promised_ms=None) for batch in _parts[part]]


def fill(workload: Workload, bundle: int, parts: int) -> None:
    """Put the events into memory, in batches of `bundle`."""
    lines = workload.lines()
    share = -(-len(lines) // parts)
    for part in range(parts):
        mine = lines[part * share : (part + 1) * share]
        batches = []
        for begin in range(0, len(mine), bundle):
            payloads = mine[begin : begin + bundle]
            # With several parts the others' progress is not known, so nothing is promised.
            positions = list(range(begin, begin + len(payloads)))
            each = [workload.promised_ms(i) if parts == 1 else BEGIN_MS - 1 for i in positions]
            promised = pa.array(each, pa.int64())
            batches.append(Messages(f"part-{part}", positions, payloads, None, promised))
        _parts.append(batches)
