"""What sinks of dead letters in a local file share: the check of its path, and their URIs."""

from pathlib import Path
from typing import Self

from chronon_beam.api.plugins import refuse_unknown
from chronon_beam.io.dead_letters.letter import MOST_BYTES
from chronon_beam.io.dead_letters.sinks import DeadLetters, most_bytes_of
from chronon_beam.io.uri import local_path, parse_uri


class LocalDeadLetters(DeadLetters):
    """A sink in one local file, which need not exist yet.

    Raises:
        FileNotFoundError: the folder does not exist.
        IsADirectoryError: the path is a folder.
    """

    def __init__(self, path: str, most_bytes: int = MOST_BYTES) -> None:
        super().__init__()
        self._path, self.most_bytes = path, most_bytes
        folder = Path(path).resolve().parent
        if not folder.is_dir():
            raise FileNotFoundError(f"dead letters: there is no folder {folder}: make it first")
        if Path(path).is_dir():
            raise IsADirectoryError(f"dead letters: {path} is a folder: name a file in it")

    @classmethod
    def from_uri(cls, uri: str) -> Self:
        """For `SCHEME:PATH`."""
        parsed = parse_uri(uri)
        refuse_unknown(parsed.parameters, ("max_bytes",), f"{parsed.scheme}: dead letters")
        return cls(local_path(parsed.location, uri), most_bytes_of(parsed.parameters))
