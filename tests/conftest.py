"""Options and settings that all tests share."""

import os
import random
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from chronon_beam.transforms.spark import quick_start

pytest.register_assert_rewrite("chronon_beam.io.testing")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # as the command does; before gRPC is imported

os.environ.setdefault("SPARK_AUTH_SOCKET_TIMEOUT", "300")  # of 15 s, on a busy machine

# No query of a test runs for long: the fastest code would cost more than it saves.
quick_start.start.short = True

# Tests send signals to commands, which would ignore those that these tests ignore: Ctrl-C if a
# shell has started them in the background, the end of the terminal if nohup has.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGTERM, signal.SIG_DFL)

SEED = "CHRONON_BEAM_TEST_SEED"
"""The variable with the seed of all that tests draw; without it each run draws something else."""

_seed = os.environ.get(SEED) or str(secrets.randbits(32))

GOLDEN = Path(__file__).parent / "golden" / "vectors"

settings.register_profile(
    "default", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--golden",
        default=str(GOLDEN),
        help="folder of vectors made by the real Chronon (subfolders airbnb, zipline, ...)",
    )


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Draws when and where a test breaks something; a test that fails tells how to draw it again.

    What is broken may be drawn from a fixed seed.
    """
    return random.Random(f"{_seed} {request.node.nodeid}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.failed and "chance" in getattr(item, "fixturenames", ()):
        report.sections.append(("Drawn", f"{SEED}={_seed} draws the same again"))
    return report
