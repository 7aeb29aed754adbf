"""A Bigtable emulator for benchmarks: the user's own, or one that ends with the benchmark."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOST = "BIGTABLE_EMULATOR_HOST"
SCRIPT = Path(__file__).parents[1] / "tests" / "services" / "bigtable_emulator.py"


@contextmanager
def bigtable_emulator() -> Iterator[None]:
    """$BIGTABLE_EMULATOR_HOST names it inside the block."""
    if os.environ.get(HOST):
        yield
        return
    with subprocess.Popen(
        [sys.executable, str(SCRIPT)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout
        os.environ[HOST] = process.stdout.readline().decode().strip().partition("=")[2]
        try:
            yield
        finally:
            del os.environ[HOST]
            process.terminate()
