"""Log lines that name the GroupBy and the step they come from, on every runner.

Beam hands the step to the runner beside a line, and Flink's logs leave it out; so it stands in the
line. Importing this module is what does it: workers in processes of their own import it because
the job names it with `FLAG`.
"""

import logging
from typing import Any

from apache_beam.runners.worker import statesampler

FLAG = f"--beam_plugin={__name__}"
"""For Beam: workers import this module before they work."""


def step() -> str:
    """The step that this thread is in, after the GroupBy's name; empty outside of a bundle."""
    tracker = statesampler.get_current_tracker()
    state = tracker.current_state() if tracker else None
    context = state.name_context if state else None
    return str(context.step_name or "") if context else ""


class _Factory:
    """Makes log records; those of a step begin with its name."""

    def __init__(self) -> None:
        self._make = logging.getLogRecordFactory()

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._make(*args, **kwargs)
        if where := step():
            # Of a line with arguments, `%` is what they are laid into by.
            record.msg = f"{where.replace('%', '%%') if record.args else where}: {record.msg}"
        return record


logging.setLogRecordFactory(_Factory())
