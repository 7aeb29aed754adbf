"""A proxy between Bigtable's client and the emulator that makes calls fail as networks do."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.cloud.bigtable_v2 import types

Request = types.MutateRowsRequest.pb()
Response = types.MutateRowsResponse.pb()
ReadRequest = types.ReadRowsRequest.pb()

MUTATE_ROWS = "/google.bigtable.v2.Bigtable/MutateRows"
READ_ROWS = "/google.bigtable.v2.Bigtable/ReadRows"
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@dataclass(frozen=True)
class Fault:
    """What happens to one call; without any field set it passes.

    Attributes:
        code: the whole call ends with it.
        applied: it does so after its entries were written.
        entries: tells the code of an entry by its row key; such an entry is not written.
        delay_s: before anything else; a call that its client has given up by then is dropped.
        before: is called first.
    """

    code: grpc.StatusCode | None = None
    applied: bool = False
    entries: Callable[[bytes], grpc.StatusCode | None] | None = None
    delay_s: float = 0.0
    before: Callable[[], None] | None = None


@dataclass
class BigtableProxy(grpc.GenericRpcHandler):
    """Started by `start`.

    Attributes:
        upstream: `host:port` of the emulator.
        fault: tells what happens to a MutateRows call: by its number, from 0, and its row keys.
        read_fault: is called with each ReadRows request and its context, before it passes.
        calls: how many entries each MutateRows call had.
        routed: of each kind of call its method, app profile and routing header.
    """

    upstream: str
    fault: Callable[[int, list[bytes]], Fault | None] = lambda number, rows: None
    read_fault: Callable[[Any, Any], Any] = lambda request, context: None
    calls: list[int] = field(default_factory=list)
    routed: set[tuple[str, str, str]] = field(default_factory=set)

    def start(self) -> None:
        """Listen on a free port, or on the one it had before `cut`."""
        self._channel = grpc.insecure_channel(self.upstream, UNLIMITED)
        self._lock = threading.Lock()
        self._port = 0
        self._listen()

    @property
    def host(self) -> str:
        """`host:port` for $BIGTABLE_EMULATOR_HOST."""
        return f"localhost:{self._port}"

    def cut(self, for_s: float = 0.0) -> None:
        """Break all connections; listen again after a while."""
        self._server.stop(None)
        time.sleep(for_s)
        self._listen()

    def stop(self) -> None:
        """End it."""
        self._server.stop(None).wait()
        self._channel.close()

    def _listen(self) -> None:
        self._server = grpc.server(
            futures.ThreadPoolExecutor(16), handlers=[self], options=[*UNLIMITED]
        )
        self._port = self._server.add_insecure_port(f"localhost:{self._port}")
        self._server.start()

    def service(self, handler_call_details: Any) -> Any:
        """Every method of every service."""
        name = handler_call_details.method
        metadata = [
            (key, value)
            for key, value in handler_call_details.invocation_metadata
            if key.startswith("x-goog")
        ]
        if name in (MUTATE_ROWS, READ_ROWS):
            answer = self._mutate if name == MUTATE_ROWS else self._read
            return grpc.unary_stream_rpc_method_handler(
                lambda request, context: answer(request, context, metadata)
            )
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._unary(name, request, context, metadata)
        )

    def _unary(self, name: str, request: bytes, context: Any, metadata: Any) -> Any:
        try:
            return self._channel.unary_unary(name)(request, metadata=metadata, wait_for_ready=True)
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())

    def _stream(self, name: str, request: bytes, context: Any, metadata: Any) -> Iterator[bytes]:
        try:
            yield from self._channel.unary_stream(name)(
                request, metadata=metadata, wait_for_ready=True, timeout=context.time_remaining()
            )
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())

    def _read(self, request: bytes, context: Any, metadata: Any) -> Iterator[bytes]:
        parsed = ReadRequest.FromString(request)
        self._note("ReadRows", parsed, metadata)
        self.read_fault(parsed, context)
        if not context.is_active():
            return
        yield from self._stream(READ_ROWS, request, context, metadata)

    def _note(self, method: str, request: Any, metadata: Any) -> None:
        header = dict(metadata).get("x-goog-request-params", "")
        self.routed.add((method, request.app_profile_id, header))

    def _mutate(self, request: bytes, context: Any, metadata: Any) -> Iterator[bytes]:
        parsed = Request.FromString(request)
        self._note("MutateRows", parsed, metadata)
        rows = [entry.row_key for entry in parsed.entries]
        with self._lock:
            fault = self.fault(len(self.calls), rows) or Fault()
            self.calls.append(len(rows))
        if fault.before:
            fault.before()
        if fault.delay_s:
            time.sleep(fault.delay_s)
            if not context.is_active():
                return
        if fault.code and not fault.applied:
            context.abort(fault.code, "injected")
        answers = self._stream(MUTATE_ROWS, request, context, metadata)
        if fault.entries:
            answers = self._without(request, fault.entries, context, metadata)
        written = list(answers)
        if fault.code:
            context.abort(fault.code, "injected after it was applied")
        yield from written

    def _without(
        self, request: bytes, code_of: Callable[[bytes], Any], context: Any, metadata: Any
    ) -> Iterator[bytes]:
        """The entries that are to fail are answered here, the others go on."""
        whole = Request.FromString(request)
        codes = [code_of(entry.row_key) for entry in whole.entries]
        passing = [index for index, code in enumerate(codes) if code is None]
        rest = Request(table_name=whole.table_name, app_profile_id=whole.app_profile_id)
        rest.entries.extend(whole.entries[index] for index in passing)
        answer = Response()
        for index, code in enumerate(codes):
            if code is not None:
                refused = answer.entries.add(index=index)
                refused.status.code, refused.status.message = code.value[0], "injected"
        if passing:
            for part in self._stream(MUTATE_ROWS, rest.SerializeToString(), context, metadata):
                for entry in Response.FromString(part).entries:
                    entry.index = passing[entry.index]
                    answer.entries.add().CopyFrom(entry)
        yield answer.SerializeToString()
