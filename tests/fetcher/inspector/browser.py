"""A real Chromium for tests: Debian's, or the one that a developer's machine has."""

import os
import shutil

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)

_REMEDY = (
    "the page is tested in Chromium, and this machine has none: install it (Debian: apt-get "
    "install chromium), or set CHROMIUM to the path of one"
)


def chromium() -> str:
    """The path of the browser; without one the test is skipped, and in CI it fails.

    `.ci/run` sets CHROMIUM, to nothing where there is no browser.
    """
    given = os.environ.get("CHROMIUM")
    found = given or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        in_ci = given is not None or os.environ.get("CI")
        (pytest.fail if in_ci else pytest.skip)(_REMEDY)
    return found
