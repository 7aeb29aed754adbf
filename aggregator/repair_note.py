"""The note beside a tile that late events were merged into; `io.repair` says how it is used."""

import base64
import json
from typing import NamedTuple

NOTES_DATASET = "{}_REPAIRS"
"""Where the notes of a dataset's tiles are kept, under the same keys."""


class RepairNote(NamedTuple):
    """What is kept beside a tile that late events were merged into.

    Attributes:
        before: the tile before it was repaired; None if there was none.
        events: the late events that were merged one by one, see `Correction.event`.
        added: the tile of these events alone; None if there are none.
    """

    before: bytes | None
    events: tuple[str, ...] = ()
    added: bytes | None = None

    @staticmethod
    def pack(note: "RepairNote | None") -> bytes:
        """As JSON, with bytes in base64; `null` says that the tile is not repaired."""
        if note is None:
            return b"null"
        tiles = {"before": note.before, "added": note.added}
        texts = {name: tile and base64.b64encode(tile).decode() for name, tile in tiles.items()}
        return json.dumps({**texts, "events": note.events}).encode()

    @staticmethod
    def unpack(blob: bytes | None) -> "RepairNote | None":
        """The note that `pack` made; None for no blob."""
        found = blob and json.loads(blob)
        if not found:
            return None
        before, added = (
            tile and base64.b64decode(tile) for tile in (found["before"], found["added"])
        )
        return RepairNote(before, tuple(found["events"]), added)
