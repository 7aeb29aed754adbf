"""A source that never ends and can be checkpointed, and steps that break bundles or stay in them.

What is here runs on a cluster's workers, too: see the fixture `modules_on_workers`.
"""

import os
import pickle
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Duration, Timestamp

from chronon_beam.api.records import Messages

_FOR_EVER = 1 << 40
_PAUSE = Duration(micros=50_000)


class _Positions(RestrictionProvider):
    def initial_restriction(self, element: str) -> OffsetRange:
        return OffsetRange(0, _FOR_EVER)

    def create_tracker(self, restriction: OffsetRange) -> OffsetRestrictionTracker:
        return OffsetRestrictionTracker(restriction)

    def restriction_size(self, element: str, restriction: OffsetRange) -> int:
        return 1

    def split(self, element: str, restriction: OffsetRange) -> Iterator[OffsetRange]:
        yield restriction


_TRACKER = beam.DoFn.RestrictionParam(_Positions())
_WATERMARK = beam.DoFn.WatermarkEstimatorParam(ManualWatermarkEstimator.default_provider())


class _ReadFn(beam.DoFn):
    def __init__(self, after_all_ms: int) -> None:
        self._after_all_ms = after_all_ms

    @beam.DoFn.unbounded_per_element()
    def process(
        self,
        path: str,
        tracker: Any = _TRACKER,
        watermark: Any = _WATERMARK,
    ) -> Iterator[Any]:
        batches = [Messages(*fields) for fields in pickle.loads(Path(path).read_bytes())]
        at = tracker.current_restriction().start
        if at < len(batches) and tracker.try_claim(at):
            promised = _timestamp(batches[at].promised_ms[0].as_py())
            yield TimestampedValue(batches[at], promised)
            watermark.set_watermark(promised)
        if at + 1 >= len(batches):
            watermark.set_watermark(_timestamp(self._after_all_ms))
        tracker.defer_remainder(_PAUSE)


def _timestamp(ms: int) -> Timestamp:
    return Timestamp(micros=ms * 1000)


class Live(beam.PTransform):
    """The messages of a file that `replay.save` wrote, one a bundle, and then silence.

    Args:
        path: the file.
        after_all_ms: the watermark during the silence.
    """

    def __init__(self, path: Path, after_all_ms: int) -> None:
        super().__init__()
        self._path = str(path)
        self._after_all_ms = after_all_ms

    def expand(self, root: Any) -> Any:
        paths = root | beam.Create([self._path], reshuffle=False)
        return paths | beam.ParDo(_ReadFn(self._after_all_ms))


class BundleBroken(RuntimeError):
    """Raised on purpose."""


class Break(beam.DoFn):
    """Passes elements on and breaks the bundle at some of them, each once.

    How many have passed is kept in a file, which outlives the worker: so breaks are bounded.
    """

    def __init__(self, passed: Path, at: set[int]) -> None:
        self._passed = str(passed)
        self._at = at

    def process(self, element: Any) -> Iterator[Any]:
        if pass_one(self._passed) in self._at:
            raise BundleBroken(f"bundle broken on purpose at element {element}")
        yield element


class Stay(beam.DoFn):
    """Starts a process of its own, as Spark's JVM is one, then says so in a file and stays."""

    def process(self, path: str) -> None:
        subprocess.Popen(["sleep", "613"], start_new_session=True)
        Path(path).touch()
        time.sleep(600)


def pass_one(path: str) -> int:
    """Count one more in the file; how many there are now."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, b".")
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
