"""A source that workers in other processes can run: messages, with their promises, from a file."""

import pickle
from pathlib import Path
from typing import Any

import apache_beam as beam

from chronon_beam.api.records import Messages


def save(path: Path, batches: list[Messages]) -> None:
    path.write_bytes(pickle.dumps([tuple(batch) for batch in batches]))


class Replay(beam.PTransform):
    """The messages of a file that `save` wrote, in order."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = str(path)

    def expand(self, root: Any) -> Any:
        return root | beam.Create([self._path], reshuffle=False) | beam.FlatMap(_read)


def _read(path: str) -> list[Messages]:
    return [Messages(*fields) for fields in pickle.loads(Path(path).read_bytes())]
