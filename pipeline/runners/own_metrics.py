"""Turns off what Beam's worker measures of itself: it costs each bundle 2.5 of 12.5 ms of CPU.

Beam's worker has a thread that samples which step is running. At the end of each bundle Beam waits
for this thread, which sleeps for up to 200 ms at a time: a bundle of 20 ms would end late. And each
bundle reports the milliseconds and elements of every step and collection. No option of Beam turns
either off. These figures are lost, and so is Beam's warning that a step has been running for long.
The metrics that steps count themselves are still sent.
"""

from threading import current_thread

from apache_beam.portability.api import metrics_pb2
from apache_beam.runners.worker.bundle_processor import BundleProcessor
from apache_beam.runners.worker.statesampler import StateSampler, set_current_tracker


def _start(self: StateSampler) -> None:
    self.tracked_thread = current_thread()
    set_current_tracker(self)
    self.started = True


def _stop(self: StateSampler) -> None:
    set_current_tracker(None)
    self.finished = True


def _monitoring_infos(self: BundleProcessor) -> list[metrics_pb2.MonitoringInfo]:
    found: dict[frozenset[str], metrics_pb2.MonitoringInfo] = {}
    for transform_id, operation in self.ops.items():
        found.update(operation.user_monitoring_infos(transform_id))
    return list(found.values())


def stop_measuring() -> None:
    """Turn it off for the workers of this process, for good.

    It cannot be turned on again: a bundle that has begun without the thread must end without it.
    """
    StateSampler.start, StateSampler.stop = _start, _stop
    BundleProcessor.monitoring_infos = _monitoring_infos
