"""Dead letters: what becomes of a message or row that a stage could not use.

A stage gives a `Failure` (`api.records`): step, reason, payload, source and position. The failures
of all stages meet in one sink. It counts them by step, and writes one JSON object per dead letter
to a file, or tells the log of the first few. `to_line` is the format of the lines; `from_line`
reads it.
"""

import base64
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, runtime_checkable

import apache_beam as beam

from chronon_beam.api.plugins import refuse_unknown
from chronon_beam.api.records import Failure
from chronon_beam.io.uri import local_path, parse_uri, registered

BUILT_IN = {"file": "chronon_beam.io.dead_letters:FileDeadLetters.from_uri"}
GROUP = "chronon_beam.dead_letters"
"""Entry points of other packages: name = scheme, object = callable from URI to a PTransform."""

_BATCH = 1000
_log = logging.getLogger(__name__)

Clock = Callable[[], float]
"""Seconds since the epoch."""


@runtime_checkable
class WritesFiles(Protocol):
    """A sink of dead letters that writes local files."""

    def files(self) -> list[str]:
        """The files, there or to be made."""
        ...


def open_dead_letters(uri: str | None = None) -> beam.PTransform:
    """The sink of Failures that `uri` names (`file:PATH`); without a URI, the log.

    Raises:
        ValueError: unknown scheme or parameter, or a malformed URI.
        FileNotFoundError: the folder of the path does not exist.
    """
    if uri is None:
        return LogDeadLetters()
    return registered(uri, "dead-letter sink", BUILT_IN, GROUP)(uri)


def sink_failures(failures: Sequence[beam.PCollection[Failure]], sink: beam.PTransform) -> None:
    """Give the failures of several steps to one sink.

    A sink of files gets those of each step by themselves, and so runs together with that step. The
    embedded runners would run a sink of all steps only after the last of them, but a bounded job
    must stop at once if its dead letters cannot be written.
    """
    if not isinstance(sink, WritesFiles):
        _ = failures | beam.Flatten() | "DeadLetters" >> sink
        return
    for number, each in enumerate(failures):
        _ = each | f"DeadLetters{number}" >> sink


def to_line(failure: Failure, now_s: float) -> bytes:
    """One JSON object and a line feed; a payload that is not UTF-8 is in `payload_base64`."""
    record: dict[str, object] = {"step": failure.step, "reason": failure.reason}
    try:
        record["payload"] = failure.payload.decode()
    except UnicodeDecodeError:
        record["payload_base64"] = base64.b64encode(failure.payload).decode()
    record |= {"source": failure.source, "position": failure.position}
    moment = datetime.fromtimestamp(now_s, UTC).isoformat(timespec="milliseconds")
    record["time"] = moment.replace("+00:00", "Z")
    # A lone surrogate (of an odd file name) has no form in UTF-8, but an escape in JSON.
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def from_line(line: bytes) -> Failure:
    """The Failure that `to_line` wrote.

    Raises:
        ValueError: the line is not a dead letter.
    """
    try:
        record = json.loads(line)
        if "payload_base64" in record:
            payload = base64.b64decode(record["payload_base64"])
        else:
            payload = record["payload"].encode()
        return Failure(
            record["step"], record["reason"], payload, record["source"], record["position"]
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no dead letter: {line[:80]!r} lacks or garbles {error}") from None


@dataclass
class FileDeadLetters(beam.PTransform):
    """Adds failures to a local file, one JSON object per line, at the end of each bundle.

    What the file holds stays there: jobs add to the dead letters of earlier jobs, and the time of a
    line tells them apart. The file is made when the pipeline is built. Workers on other machines
    write to a file of this path there.

    Raises:
        FileNotFoundError: the folder does not exist.
        IsADirectoryError: the path is a folder.
        ValueError: the file holds other things than dead letters.
    """

    path: str

    def __post_init__(self) -> None:
        super().__init__()
        folder = Path(self.path).resolve().parent
        if not folder.is_dir():
            raise FileNotFoundError(f"dead letters: there is no folder {folder}: make it first")
        if Path(self.path).is_dir():
            raise IsADirectoryError(f"dead letters: {self.path} is a folder: name a file in it")
        if Path(self.path).is_file() and not _holds_dead_letters(self.path):
            raise ValueError(
                f"dead letters: {self.path} holds other things than dead letters, which are added "
                "to what a file holds: name another file"
            )

    @classmethod
    def from_uri(cls, uri: str) -> "FileDeadLetters":
        """For `file:PATH`."""
        parsed = parse_uri(uri)
        refuse_unknown(parsed.parameters, (), "file: dead letters")
        return cls(local_path(parsed.location, uri))

    def files(self) -> list[str]:
        """The one file."""
        return [self.path]

    def expand(self, failures: beam.PCollection[Failure]) -> beam.PCollection[None]:
        """An empty PCollection."""
        append_lines(self.path, [b""] if _ends_with_a_line(self.path) else [b"\n"])
        return failures | "Append" >> beam.ParDo(_AppendFn(self.path))


def _holds_dead_letters(path: str) -> bool:
    """Whether a file is empty, or begins with a dead letter."""
    with open(path, "rb") as file:
        first = file.readline()
    try:
        return not first or bool(from_line(first))
    except ValueError:
        return False


def _ends_with_a_line(path: str) -> bool:
    """Whether the next line can be added; not where a job was killed while it wrote a line."""
    if not Path(path).is_file() or not os.path.getsize(path):
        return True
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


class _AppendFn(beam.DoFn):
    def __init__(self, path: str, clock: Clock = time.time) -> None:
        self._path = path
        self._clock = clock

    def start_bundle(self) -> None:
        self._lines: list[bytes] = []

    def process(self, failure: Failure) -> None:
        self._lines.append(to_line(failure, self._clock()))
        if len(self._lines) >= _BATCH:
            self._flush()

    def finish_bundle(self) -> None:
        self._flush()

    def _flush(self) -> None:
        if self._lines:
            append_lines(self._path, self._lines)
            self._lines = []


def append_lines(path: str, lines: Iterable[bytes]) -> None:
    """Add to the file in one write, so that lines of several writers never mix."""
    data = memoryview(b"".join(lines))
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    finally:
        os.close(descriptor)


class LogDeadLetters(beam.PTransform):
    """Logs failures: the first few in full, then how many there were."""

    def expand(self, failures: beam.PCollection[Failure]) -> beam.PCollection[None]:
        """An empty PCollection."""
        return failures | "Log" >> beam.ParDo(_LogFn())


@dataclass
class RateLimit:
    """Limits the log: the first few failures, then at most one line per period."""

    first: int = 5
    period_s: float = 60.0
    clock: Clock = time.monotonic
    _seen: int = 0
    _since: int = 0
    _last_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def line(self, failure: Failure) -> str | None:
        """The line to log for `failure`; None for no line."""
        with self._lock:
            self._seen += 1
            self._since += 1
            now_s = self.clock()
            if self._seen > self.first and now_s - self._last_s < self.period_s:
                return None
            more = f" ({self._since} since the last such line)" if self._since > 1 else ""
            self._since, self._last_s = 0, now_s
        where = f"{failure.source} at {failure.position}"
        return f"dead letter from {failure.step}, {where}: {failure.reason}{more}"


_limit = RateLimit()


class _LogFn(beam.DoFn):
    def process(self, failure: Failure) -> None:
        line = _limit.line(failure)
        if line is not None:
            _log.warning("%s; keep them with --dead_letters=file:PATH", line)
