"""Letters as JSON objects: the lines of a file, and what other sinks keep beside payloads."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

from chronon_beam.api.records import Failure, Form
from chronon_beam.io.dead_letters.letter import Letter, Origin

Record = dict[str, Any]


def to_line(letter: Letter) -> bytes:
    """A JSON object and a line feed; bytes that are not UTF-8 are in `..._base64`."""
    failure = letter.failure
    record: Record = {"step": failure.step, "error": letter.error, "reason": failure.reason}
    record |= _text("payload", failure.payload)
    record |= {"source": failure.source, "position": failure.position}
    if failure.key is not None:
        record |= _text("key", failure.key)
    if failure.headers:
        record["headers"] = headers_record(failure)
    if failure.event_time_ms is not None:
        record["event_time_ms"] = failure.event_time_ms
    record["time"] = moment(letter.failed_ms)
    return as_text({**record, **rest_of(letter)}).encode("utf-8", "backslashreplace") + b"\n"


def as_text(value: Any) -> str:
    """A value as JSON; a lone surrogate, which a file name may have, is not yet an escape."""
    return json.dumps(value, ensure_ascii=False)


def from_line(line: bytes) -> Letter:
    """The letter that `to_line` wrote.

    Raises:
        ValueError: the line is not a dead letter.
    """
    try:
        record = json.loads(line)
        failure = Failure(
            record["step"],
            record["reason"],
            _bytes(record, "payload") or b"",
            record["source"],
            record["position"],
            key=_bytes(record, "key"),
            headers=headers_of(record.get("headers", ())),
            event_time_ms=record.get("event_time_ms"),
        )
        failed_ms = ms_of(record["time"])
        return with_rest(failure, record.get("error", ""), failed_ms, record)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no dead letter: {line[:80]!r} lacks or garbles {error}") from None


def rest_of(letter: Letter) -> Record:
    """The fields of a letter that `redrive` needs and people do not; empty ones are left out."""
    failure, origin = letter.failure, letter.origin
    found: Record = {
        "form": str(failure.form),
        "attributes": failure.attributes,
        "tile_size_ms": failure.tile_size_ms,
        "group_by": origin.group_by,
        "run": origin.run,
        "size": letter.size,
        "cut": letter.cut,
    }
    return {name: value for name, value in found.items() if value}


def with_rest(failure: Failure, error: str, failed_ms: int, rest: Record) -> Letter:
    """The letter of a failure and of the fields that `rest_of` gave, if any."""
    failure = failure._replace(
        form=Form(rest.get("form", Form.OTHER)),
        attributes=rest.get("attributes", ""),
        tile_size_ms=rest.get("tile_size_ms", 0),
    )
    origin = Origin(rest.get("group_by", ""), rest.get("run", ""))
    size = rest.get("size", len(failure.payload))
    return Letter(failure, error, origin, failed_ms, size, rest.get("cut", False))


def headers_record(failure: Failure) -> list[Record]:
    """The headers for JSON: a list, since several headers may have one name."""
    return [
        {"name": name, **({"value": None} if value is None else _text("value", value))}
        for name, value in failure.headers
    ]


def headers_of(records: list[Record] | tuple[()]) -> tuple[tuple[str, bytes | None], ...]:
    """The headers of which `headers_record` made these records."""
    return tuple((each["name"], _bytes(each, "value")) for each in records)


def moment(ms: int) -> str:
    """A time as ISO-8601 in UTC, with milliseconds.

    >>> moment(1_700_000_000_250), ms_of("2023-11-14T22:13:20.250Z")
    ('2023-11-14T22:13:20.250Z', 1700000000250)
    """
    text = datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)
    return text.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ms_of(text: str) -> int:
    """The time that `moment` wrote."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _text(name: str, value: bytes) -> Record:
    try:
        return {name: value.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(value).decode()}


def _bytes(record: Record, name: str) -> bytes | None:
    encoded = record.get(f"{name}_base64")
    if encoded is not None:
        return base64.b64decode(encoded)
    text = record[name] if name == "payload" else record.get(name)
    return None if text is None else text.encode()
