# PYTHON_ARGCOMPLETE_OK: the shell may ask this command for completions.
"""The process of `chronon-beam`: Ctrl-C stops it cleanly, even while modules are being imported."""

import signal

from chronon_beam.pipeline.interrupt import STOPPED, has_come, interrupt, leave, on_interrupt


def main() -> int:
    """Run the command that this process was started for; returns its exit code."""
    on_interrupt(leave)
    from chronon_beam.pipeline.cli import main as run_command

    code = STOPPED
    try:
        on_interrupt(interrupt)
        code = run_command()
    except KeyboardInterrupt:  # a second Ctrl-C, while the message about the first was printed
        pass
    # A second Ctrl-C must not stop this process from ending what it has started.
    on_interrupt(signal.SIG_IGN if has_come() else leave)
    return code
