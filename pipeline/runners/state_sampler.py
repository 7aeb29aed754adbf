"""Beam's worker without the thread that samples which step is running.

At the end of each bundle Beam waits for this thread, which sleeps for up to 200 ms at a time: a
bundle of 20 ms would answer late, and no option changes that. What is lost is Beam's own report of
milliseconds per step, and its warning that a step has been running for long.
"""

from threading import current_thread

from apache_beam.runners.worker.statesampler import StateSampler, set_current_tracker


def _start(self: StateSampler) -> None:
    self.tracked_thread = current_thread()
    set_current_tracker(self)
    self.started = True


def _stop(self: StateSampler) -> None:
    set_current_tracker(None)
    self.finished = True


def stop_sampling() -> None:
    """Let the workers of this process start no sampling thread from now on.

    There is no way back: a bundle that has begun without the thread must end without it.
    """
    StateSampler.start, StateSampler.stop = _start, _stop
