"""The seam for serdes: what turns the messages of a source into columns.

A source says which serde its messages need by a `Format`: a name and parameters. The job opens that
serde by name (`transforms.serdes.open_serde`) and the stage Decode calls it, so sources and serdes
do not know each other. A serde is one file, `transforms/serdes/NAME.py`, or an entry point of the
group `chronon_beam.serdes` in another package; both give a function from the parameters to a SerDe.

The life of a serde:

1. **Build.** The function makes a SerDe of the parameters, and raises ValueError, with a remedy,
   for one that is unknown or wrong. `SerDe.schema()` tells the columns; it may ask a schema
   registry. `SerDe.decoder(columns)` is called once, to find out whether it can give these columns.
2. **Travel.** The SerDe is pickled and sent to the workers. It therefore holds plain values only:
   no connection, no client, no secret that must not be stored. What `schema()` has learned and
   workers need (the reader's schema) is kept in a field, so that all workers read into what was
   planned.
3. **Setup.** Each worker thread calls `decoder(columns)` for a Decoder of its own, which needs no
   lock. Clients and caches belong into the Decoder and are opened by its first `decode`.
4. **Messages.** `decode` gets a batch and answers with rows, and with a reason for each message
   that cannot be read. The writer's schema may differ from message to message (an id in front of
   the payload): the Decoder resolves it into `columns`, which never change while the job runs.
5. **Teardown.** `close()`.

A message that cannot be decoded has a reason, which becomes a dead letter. A service that is down
is not the fault of a message: the Decoder waits for it, and in the end raises OSError, which fails
the bundle and has the runner try again. Any other exception of `decode` is taken for the fault of
one message: Decode halves the batch until that message stands alone, and is a dead letter.

>>> class Shout:
...     '''Messages are text: one column, in capitals.'''
...     def schema(self):
...         return pa.schema([("text", pa.string())])
...     def decoder(self, columns):
...         return self
...     def decode(self, messages):
...         texts = [payload.decode().upper() for payload in messages.payloads]
...         return Decoded(pa.record_batch({"text": texts}))
...     def close(self):
...         pass
>>> serde: SerDe = Shout()
>>> messages = Messages("shop/0", [17, 18], [b"hello", b"world"])
>>> serde.decoder(serde.schema()).decode(messages).batch.to_pydict()
{'text': ['HELLO', 'WORLD']}

Source: `ai.chronon.online.serde.SerDe`, which decodes one message at a time.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import pyarrow as pa

from chronon_beam.api.records import Messages

Reasons = dict[int, str]
"""Why messages, or rows, cannot be read: one sentence each, by their index in the batch."""

GROUP = "chronon_beam.serdes"
"""Entry points of other packages: name = format, object = callable from parameters to SerDe."""


class Format(NamedTuple):
    """Which serde the messages of a source need.

    Attributes:
        name: for example `json`.
        parameters: settings of the serde, for example from the source's URI.
    """

    name: str
    parameters: Mapping[str, str] = {}


class Decoded(NamedTuple):
    """What a serde made of a batch of messages.

    Attributes:
        batch: one row per message that has no reason, in their order, in the columns asked for.
        reasons: why the others have no row.
        letters: by index, the payload of the dead letter of a message with a reason; needed only
            where a message has no payload of its own (tables).
    """

    batch: pa.RecordBatch
    reasons: Reasons = {}
    letters: Mapping[int, bytes] = {}


class Decoder(Protocol):
    """Decodes batches, in one thread of a worker."""

    def decode(self, messages: Messages) -> Decoded:
        """The rows of a batch of messages, which may be empty; see the module for what it raises.

        `messages` is not changed. `messages.attributes` is what the source knows of each message
        (headers, a key) and may decide how to read it.
        """
        ...

    def close(self) -> None:
        """Close clients and other resources; called once."""
        ...


class SerDe(Protocol):
    """How the messages of a source become columns: a plain value, which pickles."""

    def schema(self) -> pa.Schema | None:
        """The columns that messages have, at the build of the job; None if they are not known.

        Called only if neither the user (`?schema=`) nor the source gives the columns.

        Raises:
            ValueError: the schema has no form in columns.
            OSError: a registry does not answer.
        """
        ...

    def decoder(self, columns: pa.Schema) -> Decoder:
        """What decodes messages into `columns`: those that the job reads, found by name.

        Every column may be null. A column that messages do not have is null. What messages have
        beside `columns` is not converted, so that it cannot stop a job.

        Raises:
            ValueError: a column's type cannot be read from these messages.
        """
        ...
