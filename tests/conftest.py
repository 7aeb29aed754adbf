"""Options and settings that all tests share."""

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("chronon_beam.io.testing")
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # as the command does; before gRPC is imported

# Tests send Ctrl-C to commands, which would ignore it as these tests do if a shell has started them
# in the background.
signal.signal(signal.SIGINT, signal.default_int_handler)

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
