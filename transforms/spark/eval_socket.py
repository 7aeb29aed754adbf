"""The connection to the JVM's evaluator: one unix socket connection per thread."""

import os
import socket
import struct
import threading
from pathlib import Path

import pyarrow as pa

_HEAD = struct.Struct(">ii")
_LENGTH = struct.Struct(">i")


class EvaluationFailed(Exception):
    """Spark could not evaluate a batch; the message is its reason, one line."""


class EvalSocket:
    """Sends batches to the evaluator in the JVM. Each thread has a connection of its own.

    Attributes:
        path: the unix socket at which the evaluator listens.

    The JVM keeps a pipeline per connection, so threads do not wait for one another.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._of_thread = threading.local()

    def evaluate(self, plan: int, batch: pa.RecordBatch) -> pa.Buffer:
        """The answer of a registered plan to one batch, as an IPC record batch without schema.

        Raises:
            EvaluationFailed: Spark fails on a row; further batches can be sent.
            OSError: the JVM has ended.
        """
        message = batch.serialize()
        connection = self._connection()
        try:
            connection.sendall(b"".join((_HEAD.pack(plan, message.size), message)))
            (size,) = _LENGTH.unpack(_receive(connection, _LENGTH.size))
            body = _receive(connection, abs(size))
        except BaseException:
            # After any error the next bytes of this connection may answer an earlier request.
            self._hang_up()
            raise
        if size < 0:
            raise EvaluationFailed(body.decode(errors="replace"))
        return pa.py_buffer(body)

    def _connection(self) -> socket.socket:
        mine = self._of_thread
        # A forked child must not use the connection of its parent's thread.
        if getattr(mine, "owner", None) != os.getpid():
            mine.connection = socket.socket(socket.AF_UNIX)
            mine.connection.connect(str(self.path))
            mine.owner = os.getpid()
        return mine.connection

    def _hang_up(self) -> None:
        self._of_thread.connection.close()
        self._of_thread.owner = None


def _receive(connection: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = connection.recv_into(view)
        if not count:
            raise ConnectionResetError("Spark's JVM hung up")
        view = view[count:]
    return data
