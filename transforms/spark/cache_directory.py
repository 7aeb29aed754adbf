"""The folder of this user for files that are made or downloaded once."""

import os
from pathlib import Path


def cache_directory() -> Path:
    """$CHRONON_BEAM_CACHE, else `chronon_beam` in $XDG_CACHE_HOME or ~/.cache; made if new.

    Raises:
        OSError: it cannot be made.
        RuntimeError: this user has no home.
    """
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    path = Path(os.environ.get("CHRONON_BEAM_CACHE") or Path(home, "chronon_beam"))
    path.mkdir(parents=True, exist_ok=True)
    return path.absolute()
