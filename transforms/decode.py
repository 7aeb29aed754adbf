"""Messages to events: one Arrow batch per Messages, and a Failure per message that is no event.

The serde says how bytes become columns (see `api.serde`). This stage calls the serde, and keeps
with each event what later stages need: position, payload and the partition's promise.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa

from chronon_beam.api.counts import UNREAD, Count, Metric, uncounted
from chronon_beam.api.records import FAILURES, Envelopes, Failure, Form, Messages
from chronon_beam.api.serde import Decoded, Decoder, SerDe
from chronon_beam.transforms.rows import promises_at, row_json
from chronon_beam.transforms.stage import Result, emitted, outputs_of

STEP = "Decode"

_MOST_NAMED = 20
"""How many unread inputs each worker names in metrics; the dead letters have all of them."""


class Events(NamedTuple):
    """Decoded messages of one partition.

    Attributes:
        batch: one row per event, columns of the source's schema.
        source: see `Messages.source`.
        positions: see `Messages.positions`, one per row.
        payloads: the message that each row came from; None where the messages were a table.
        promised_ms: see `Messages.promised_ms`, one per row.
        attributes, envelopes: see `Messages`; for dead letters.
    """

    batch: pa.RecordBatch
    source: str
    positions: list[int]
    payloads: list[bytes] | None
    promised_ms: pa.Array | None = None
    attributes: pa.RecordBatch | None = None
    envelopes: Envelopes | None = None

    def of_messages(self, indices: Sequence[int]) -> "Events":
        """These events, with position, payload and so on of the messages at `indices`.

        `indices` has one index per row of `batch`.
        """
        payloads, attributes, envelopes = self.payloads, self.attributes, self.envelopes
        return self._replace(
            positions=[self.positions[index] for index in indices],
            payloads=None if payloads is None else [payloads[index] for index in indices],
            promised_ms=promises_at(self.promised_ms, indices),
            attributes=None
            if attributes is None
            else attributes.take(pa.array(indices, pa.int64())),
            envelopes=None if envelopes is None else envelopes.taken(indices),
        )


def decode_messages(messages: Messages, decoder: Decoder) -> Result[Events]:
    """The events in `messages`, and the messages that are not events; nothing is lost.

    Raises:
        OSError: a service that the serde needs does not answer; the messages can be tried again.
    """
    if messages.error is not None:
        none = messages._replace(
            positions=[],
            payloads=[],
            table=None,
            attributes=None,
            promised_ms=None,
            envelopes=None,
        )
        counts = {f"{UNREAD}{messages.error}": 1}
        return Result(_events(none, decoder.decode(none)), _unread(messages), counts)
    decoded = _decode(messages, decoder)
    failures = [_dead(messages, decoded, index) for index in sorted(decoded.reasons)]
    return Result(_events(messages, decoded), failures, _sizes(messages))


def _sizes(messages: Messages) -> dict[str, int]:
    number = len(messages.positions)
    return {
        Metric.MESSAGES: number,
        Metric.BATCH_MESSAGES: number,
        Metric.MESSAGE_BYTES: sum(map(len, messages.payloads)),
    }


class DecodedEvents(NamedTuple):
    """The outputs of `Decode`."""

    events: beam.PCollection[Events]
    failures: beam.PCollection[Failure]


@dataclass
class Decode(beam.PTransform):
    """Messages to Events.

    Attributes:
        serde: decodes the messages.
        schema: the columns that events have.
        count: where messages and dead letters are counted.

    Raises:
        ValueError: the serde cannot read a column of `schema`.
    """

    serde: SerDe
    schema: pa.Schema
    count: Count = uncounted

    def __post_init__(self) -> None:
        super().__init__()
        self.serde.decoder(self.schema).close()

    def expand(self, messages: beam.PCollection[Messages]) -> DecodedEvents:
        """One Events per Messages; none where no event is left."""
        decode = beam.ParDo(_DecodeFn(self)).with_outputs(FAILURES, main="events")
        return DecodedEvents(*outputs_of(messages | "Decode" >> decode))


class Decoding:
    """`decode_messages` with a decoder of its own, for one thread.

    Args:
        serde, schema: see `Decode`.
    """

    def __init__(self, serde: SerDe, schema: pa.Schema) -> None:
        self._decoder = serde.decoder(schema)
        self._named = 0

    def __call__(self, messages: Messages) -> Result[Events]:
        """See `decode_messages`; metrics name only the first inputs that could not be read."""
        result = decode_messages(messages, self._decoder)
        if messages.error is None:
            return result
        self._named += 1
        return result if self._named <= _MOST_NAMED else result._replace(counts={})

    def close(self) -> None:
        """Close the decoder."""
        self._decoder.close()


class _DecodeFn(beam.DoFn):
    def __init__(self, decode: Decode) -> None:
        self._start = partial(Decoding, decode.serde, decode.schema)
        self._count = decode.count

    def setup(self) -> None:
        self._decode = self._start()

    def process(self, messages: Messages) -> Iterator[Any]:
        result = self._decode(messages)
        if not result.batch.positions:
            result = result._replace(batch=None)
        return emitted(result, self._count)

    def teardown(self) -> None:
        self._decode.close()


def _decode(messages: Messages, decoder: Decoder) -> Decoded:
    """What the decoder makes of a batch; halves it until a message that it fails on is alone."""
    try:
        return decoder.decode(messages)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # serdes of other packages may raise anything
        count = len(messages.positions)
        if count == 0:
            raise
        if count == 1 or messages.table is not None:
            reason = f"the serde failed: {type(error).__name__}: {error}"
            none = decoder.decode(_part(messages, 0, 0)._replace(table=None))
            return none._replace(reasons=dict.fromkeys(range(count), reason))
    half = count // 2
    first = _decode(_part(messages, 0, half), decoder)
    return _join(first, _decode(_part(messages, half, count), decoder), half)


def _part(messages: Messages, start: int, stop: int) -> Messages:
    attributes, promised_ms = messages.attributes, messages.promised_ms
    envelopes = messages.envelopes
    return messages._replace(
        positions=messages.positions[start:stop],
        payloads=messages.payloads[start:stop],
        attributes=None if attributes is None else attributes[start:stop],
        promised_ms=None if promised_ms is None else promised_ms[start:stop],
        envelopes=None if envelopes is None else envelopes.taken(range(start, stop)),
    )


def _join(first: Decoded, second: Decoded, half: int) -> Decoded:
    table = pa.Table.from_batches([first.batch, second.batch]).combine_chunks()
    batch = table.to_batches()[0] if table.num_rows else first.batch
    return Decoded(
        batch,
        first.reasons | {index + half: each for index, each in second.reasons.items()},
        {**first.letters, **{index + half: each for index, each in second.letters.items()}},
    )


def _events(messages: Messages, decoded: Decoded) -> Events:
    known = Events(
        decoded.batch,
        messages.source,
        messages.positions,
        None if messages.table is not None else messages.payloads,
        messages.promised_ms,
        messages.attributes,
        messages.envelopes,
    )
    if not decoded.reasons:
        return known
    kept = [i for i in range(len(messages.positions)) if i not in decoded.reasons]
    return known.of_messages(kept)


def _dead(messages: Messages, decoded: Decoded, index: int) -> Failure:
    is_row = messages.table is not None
    shown = decoded.letters.get(index, b"")
    failure = Failure(
        STEP,
        decoded.reasons[index],
        shown if is_row or not messages.payloads else messages.payloads[index],
        messages.source,
        messages.positions[index],
        Form.EVENT if is_row else Form.MESSAGE,
    )
    return with_envelope(failure, messages, index)


def with_envelope(failure: Failure, batch: Messages | Events, index: int) -> Failure:
    """The failure of the message at `index`, with what its source knows of the message."""
    envelopes, attributes = batch.envelopes, batch.attributes
    if envelopes is not None:
        key, headers, time_ms = envelopes.at(index)
        return failure._replace(key=key, headers=headers, event_time_ms=time_ms)
    if attributes is not None:
        return failure._replace(attributes=row_json(attributes, index).decode())
    return failure


def _unread(messages: Messages) -> list[Failure]:
    """One failure for what the source could not read, or one per payload if it has some."""
    positions = messages.positions or [-1]
    payloads = messages.payloads or [b""]
    if len(positions) != len(payloads):
        positions, payloads = positions[:1], [b"\n".join(payloads)]
    reason = messages.error or ""
    return [
        Failure("Read", reason, payload, messages.source, position)
        for payload, position in zip(payloads, positions, strict=True)
    ]
