"""The records that cross rooms: what sources yield, what stores take and give, and what failed.

Plain tuples, so that they pickle small and need no coder of their own. All times are ints in
milliseconds since the epoch, UTC.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:  # `--help` need not wait for the import of pyarrow
    import pyarrow as pa

MIN_MS = -(1 << 62)
"""Before all times: a promise of it promises nothing."""

MAX_MS = 1 << 50
"""No value in a store has a later time."""


Headers = Sequence[tuple[str, bytes | None]]
"""Names and values, in their order; a name may come again."""


class Envelope(NamedTuple):
    """What a broker knows of a message beside its payload, for a dead letter.

    Attributes:
        key: the message's key.
        headers: the message's headers.
        time_ms: when the message was made, as its broker says.
    """

    key: bytes | None
    headers: Headers
    time_ms: int


@dataclass(frozen=True)
class Envelopes:
    """The envelopes of messages, made one at a time: most messages never become a dead letter.

    Attributes:
        messages: as the broker's client gives them.
        envelope_of: makes the envelope of one of them.
    """

    messages: Sequence[Any]
    envelope_of: Callable[[Any], Envelope]

    def at(self, index: int) -> Envelope:
        """The envelope of one message."""
        return self.envelope_of(self.messages[index])

    def taken(self, indices: Sequence[int]) -> "Envelopes":
        """The envelopes of some of the messages."""
        return Envelopes([self.messages[index] for index in indices], self.envelope_of)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as envelopes: a message of a client's own type may not be picklable."""
        return Envelopes, (list(map(self.envelope_of, self.messages)), _made)


def _made(envelope: Envelope) -> Envelope:
    return envelope


class Messages(NamedTuple):
    """What a source read in one go from one of its partitions.

    A promise of T says that the partition's log holds no further event at T or before. An event
    that breaks it is late: `transforms.tiling.life` says what becomes of it. Whether an event is
    late must be the same each time when the log is read, so a source keeps three rules:

    - The promise before a message depends on the log before the message alone (for example the
      running maximum of its times, in the order of offsets, less a bound). It does not depend on
      when the log was polled, or where a batch begins. What it is computed from is kept with the
      offset, so that a source that is restored goes on with the same number. The times that only
      the job's query tells are known in the reading step by `api.evaluation`.
    - Promises of a partition never fall.
    - The watermark that the source gives to the runner is at most the lowest promise of its
      partitions. A partition that the watermark passes over because it is idle promises the
      watermark from then on, and this is kept with its offset too.

    Attributes:
        source: the partition's name, for example a file's path or `topic/3`.
        positions: one int per message: line or record number (from 1), or offset.
        payloads: one bytes per message; empty when `table` is given.
        table: instead of payloads, the messages as one Arrow IPC stream (self-describing formats).
        promised_ms: what the partition had promised before each message; int64, one per message,
            without nulls. None promises nothing, so no event is late: what bounded sources give.
        error: the reason why the messages could not be read; then `payloads` holds what is known.
        attributes: what the source knows of each message beside its payload, one row per message
            in the columns of `Source.attributes()`; None where the source has none.
        envelopes: of messages from a broker.
    """

    source: str
    positions: list[int]
    payloads: list[bytes]
    table: bytes | None = None
    promised_ms: "pa.Array | None" = None
    error: str | None = None
    attributes: "pa.RecordBatch | None" = None
    envelopes: Envelopes | None = None


FAILURES = "failures"
"""The name of the output of a Beam step that has the step's Failures."""


class Form(StrEnum):
    """What the payload of a Failure is, and so at which stage the payload can enter a job again."""

    MESSAGE = "message"  # the bytes that the source gave: Decode
    EVENT = "event"  # a decoded event as JSON, of a source that has no payloads: Evaluate
    ROW = "row"  # a row of the GroupBy as JSON: Tile or Convert
    REQUEST = "request"  # a PutRequest as JSON: Write
    OTHER = "other"  # something for people to read: no stage


class Failure(NamedTuple):
    """One event or request that left the pipeline, with all that is needed to look into it.

    Attributes:
        step: the step that refused it: `Read`, `Decode`, `Evaluate`, `Tile`, `Convert`, `Write`.
        reason: one sentence in the user's terms.
        payload: the message, row or request as it was (JSON or raw bytes).
        source: see `Messages.source`.
        position: see `Messages.positions`; -1 if it is not known which message failed.
        form: what the payload is.
        key: of the message, if a broker gave it one.
        headers: of the message.
        event_time_ms: the time of a row, or what the broker says of a message; None if neither is
            known.
        attributes: what else the source knows of the message, as a JSON object; empty for nothing.
        tile_size_ms: the size of the tiles that did not take a row; 0 if none of its tiles did.
    """

    step: str
    reason: str
    payload: bytes
    source: str
    position: int
    form: Form = Form.OTHER
    key: bytes | None = None
    headers: Headers = ()
    event_time_ms: int | None = None
    attributes: str = ""
    tile_size_ms: int = 0


class PutRequest(NamedTuple):
    """One write to a KV store, as Chronon's `KVStore.PutRequest` plus the tile it is for.

    Attributes:
        key_bytes: Avro of the entity's key.
        value_bytes: Avro of the tile, or of the row when untiled.
        dataset: for example `DEMO_ICE_CREAM_STREAMING`.
        ts_ms: time of the last event in it.
        tile_start_ms: start of the tile; for an untiled row its `ts_ms`.
        tile_size_ms: length of the tile; 0 for an untiled row, which is appended, never replaced.
        position: tells apart untiled rows of one key and time, so that a repeated write of the
            same row is not a second row; empty for tiles.
    """

    key_bytes: bytes
    value_bytes: bytes
    dataset: str
    ts_ms: int
    tile_start_ms: int
    tile_size_ms: int
    position: str = ""


class Phase(IntEnum):
    """Where a tile stands in its life, and so which events a write of the tile holds.

    `transforms.tiling.life` draws the life. In all phases but the last, the job keeps state.
    """

    OPEN = 0  # the watermark has not passed the tile's end; a write holds all events so far
    CLOSED = 1  # the watermark has, but not the allowed lateness; a write holds all events so far
    CLOSED_FOR_GOOD = 2  # the lateness is over, too; a write holds one event
    EXPIRED = 3  # the job no longer knows of the tile; nothing is written in it


class Correction(NamedTuple):
    """A write that corrects a stored tile, made for an event that came after others were stored.

    Attributes:
        request: its value holds the events that `phase` says.
        phase: `CLOSED_FOR_GOOD` for one late event; `CLOSED` for all events of the tile, and `OPEN`
            for all of a tile that had late events only before.
        event: the event, `source@position`, with `#1` and so on for its further rows.
    """

    request: PutRequest
    phase: Phase
    event: str


class GetRequest(NamedTuple):
    """Values of one key with `start_ms <= tile start (or row time) < end_ms`.

    Attributes:
        tile_size_ms: only tiles of this size; 0 asks for untiled rows.
    """

    key_bytes: bytes
    dataset: str
    start_ms: int
    end_ms: int
    tile_size_ms: int


class TimedValue(NamedTuple):
    """One stored value; `ts_ms` is the tile's start, or the row's time when untiled."""

    value_bytes: bytes
    ts_ms: int


class StoredValue(NamedTuple):
    """One value of a dataset, with its key and tile size."""

    key_bytes: bytes
    tile_size_ms: int
    value: TimedValue
