"""Beam's embedded runners, with a fix for the timers of the FnApiRunner.

The FnApiRunner keeps the timers of all stages by the name of the timer alone (seen in Beam 2.77).
If two stages have timers of one name, as the stages for two sizes of tiles do, the timers of one
stage are lost. Importing this module makes the runner keep timers by stage and name.
"""

from typing import Any

from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner, execution
from apache_beam.runners.runner import PipelineRunner


def embedded_runner(buffered: bool) -> PipelineRunner:
    """The runner for a job that has processing-time timers or not.

    Beam's own DirectRunner would try Prism first and download it; these two runners are part of
    Beam. Only the older one, BundleBasedDirectRunner, waits for processing-time timers.
    """
    return BundleBasedDirectRunner() if buffered else FnApiRunner()


_get_buffer = execution.BundleContextManager.get_buffer


def _buffer_of_stage(self: Any, buffer_id: bytes, transform_id: str) -> Any:
    kind, family = execution.split_buffer_id(buffer_id)
    if kind != "timers":
        return _get_buffer(self, buffer_id, transform_id)
    buffers = self.execution_context.timer_buffers
    place = transform_id, buffer_id
    if place not in buffers:
        buffers[place] = execution.ListBuffer(self.get_timer_coder_impl(transform_id, family))
    return buffers[place]


execution.BundleContextManager.get_buffer = _buffer_of_stage
