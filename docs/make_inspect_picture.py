"""Makes docs/inspect.png: the inspector page over the flights of the examples.

    python docs/make_inspect_picture.py [PATH OF CHROMIUM]

It runs the example as docs/batch.md does, serves the page, and has Chromium take the picture.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
PICTURE = Path(__file__).with_name("inspect.png")
EXAMPLE = ROOT / "examples" / "flights"
ASKED = (
    "?group_by=flights.delays&key.carrier=UA&key.origin=EWR"
    "&at=2013-01-03T22:00:00Z&feature=arr_delay_average_1d"
)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
WIDTH, HEIGHT = 1160, 1420


STORE = "sqlite:flights.db"


def write_store(folder: str) -> None:
    """The batch value and the tiles of the example, as a store in a folder."""
    given = ["--group_by", str(EXAMPLE / "group_by.py"), "--store", STORE]
    source = ["--source", f"file:{EXAMPLE / 'flights.jsonl.gz'}"]
    for command in (["upload", "--ds", "2013-01-02"], ["run"]):
        subprocess.run([*_COMMAND, *command, *given, *source], check=True, cwd=folder)


_COMMAND = [sys.executable, "-m", "chronon_beam.pipeline"]


@contextmanager
def served(folder: str) -> Iterator[str]:
    """The address of the page over the store in a folder."""
    command = [*_COMMAND, "inspect", "--store", STORE, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder) as server:
        assert server.stderr is not None
        try:
            found = (re.search(r"http://\S+", line) for line in server.stderr)
            yield next(address[0] for address in found if address)
        finally:
            server.terminate()


def take_picture(address: str, chromium: str) -> None:
    """Save what a browser shows."""
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(address + ASKED)
        page.screenshot(path=PICTURE)
        browser.close()


def main() -> None:
    """Make the picture."""
    chromium = sys.argv[1] if len(sys.argv) > 1 else shutil.which("chromium")
    if chromium is None:
        raise SystemExit("Chromium is not on the PATH: give its path")
    with tempfile.TemporaryDirectory() as folder:
        write_store(folder)
        with served(folder) as address:
            take_picture(address, chromium)
    print(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
