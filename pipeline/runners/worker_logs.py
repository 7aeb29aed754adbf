"""Log lines that name the GroupBy and the step they come from, on every runner.

Beam gives the runner the step beside each line, and Flink's logs leave it out; so the step is put
into the line. Importing this module does that: workers in processes of their own import it because
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
    """Makes log records; the message of a record from a step begins with the step's name."""

    def __init__(self) -> None:
        self._make = logging.getLogRecordFactory()

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._make(*args, **kwargs)
        if where := step():
            # In a line with arguments, `%` begins a place for an argument.
            record.msg = f"{where.replace('%', '%%') if record.args else where}: {record.msg}"
        return record


logging.setLogRecordFactory(_Factory())
