"""A guard distinguishes its command from processes that it has adopted, and leaves no zombies."""

import os
from pathlib import Path

from waiting import eventually

from chronon_beam.pipeline.runners import guard

LEAVES_AN_ORPHAN = "(sleep 0.3 & echo $!); sleep 600"
"""The shell in between has ended at once, so that its process is adopted."""


def test_adopted_process_is_let_go_when_it_has_ended(tmp_path: Path) -> None:
    log = tmp_path / "log"
    running = guard.start(["sh", "-c", LEAVES_AN_ORPHAN], log, {})
    try:
        command = guard.wait_for_child(running)
        assert eventually(lambda: log.read_text().strip().isdecimal())
        orphan = int(log.read_text())
        assert orphan != command
        assert eventually(lambda: not Path(f"/proc/{orphan}").exists())
        assert guard.wait_for_child(running) == command
        os.kill(command, 0)
    finally:
        guard.stop(running)
