"""`chronon-beam run` as a process of its own, which kill -9 ends in the middle of its tiles."""

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from contextlib import closing
from pathlib import Path

from day_in_parts import MODES, Place, day
from processes import eventually_none

from chronon_beam.io.kv_store import open_store

WITHIN_S = 900.0
EVENTS = 8
TILES = "T_KILLED_STREAMING"


def test_a_run_that_kill_9_ended_amid_its_tiles_counts_once_when_it_is_run_again(
    tmp_path: Path, chance: random.Random
) -> None:
    place = Place(tmp_path, f"sqlite:{tmp_path}/f.db", MODES["tiled"], "t.killed")
    events, mark = day(random.Random(0), 2 * EVENTS), uuid.uuid4().hex
    written = chance.randrange(1, EVENTS - 1)
    place.write("first", events[:EVENTS])
    place.write("second", events[EVENTS:])
    assert place.run("first") == EVENTS
    before = tiles(place)
    with halting_process(place, mark, written) as process:
        wait_until_it_halts(process, place, before, written)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    assert eventually_none(mark, WITHIN_S)  # Spark's JVM has gone with it
    killed = tiles(place)
    assert not place.verified("*").sound
    assert place.run("second") == EVENTS
    assert place.verified("*").sound
    found = place.features()
    place.run("*", existing="replace")
    assert found == place.features()
    assert before != killed != tiles(place)


def halting_process(place: Place, mark: str, written: int) -> subprocess.Popen[bytes]:
    """The command, run over the second file, which halts once it has written so many of its tiles.

    First it notes what each tile was before, one cell for each; `mark` is in its environment.
    """
    plugin = place.folder / "halting.dist-info"
    plugin.mkdir()
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: halting\nVersion: 1\n")
    (plugin / "entry_points.txt").write_text(
        "[chronon_beam.stores]\nhalting = killable:open_halting\n"
    )
    options = place.options("second", f"halting:{EVENTS + written}:{place.store}")
    flags = [f"--{name}={getattr(options, name)}" for name in ("group_by", "source", "store")]
    path = os.pathsep.join([str(place.folder), str(Path(__file__).parent)])
    with (place.folder / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "chronon_beam.pipeline", "run", *flags],
            env=os.environ | {"PYTHONPATH": path, "MARK": mark},
            stderr=log,
        )


def wait_until_it_halts(
    process: subprocess.Popen[bytes],
    place: Place,
    before: dict[tuple[bytes, int], bytes],
    written: int,
) -> None:
    deadline = time.monotonic() + WITHIN_S
    while len(tiles(place).items() - before.items()) < written:
        log = (place.folder / "log").read_text()
        assert process.poll() is None, log
        assert time.monotonic() < deadline, log
        time.sleep(0.1)


def tiles(place: Place) -> dict[tuple[bytes, int], bytes]:
    """All tiles, by key and start."""
    with closing(open_store(place.store)) as store:
        values = list(store.scan(TILES))
    return {(each.key_bytes, each.value.ts_ms): each.value.value_bytes for each in values}
