"""Dead letters: what becomes of a message or row that a stage could not use.

A stage gives a `Failure` (`api.records`). The failures of all stages reach a sink (`sinks`), which
makes a `Letter` of each: bounded in size, without secrets, and with the job and run in which the
failure happened. `redrive` reads letters, and has the job's stages take them again.

A letter holds at most `MOST_BYTES` of the payload (or the number that the sink gives), 64 KiB of
key and headers, and 2,000 characters of the reason. A letter that was cut says so; people can read
it, but it cannot enter a job again.

A letter does not hold the values of headers whose names say that they are secret, nor passwords and
tokens in reasons. The payload is kept as it is: keep letters as safe as the source.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from chronon_beam.api.records import Failure, Headers

MOST_BYTES = 512 << 10
"""The bytes of a payload that are kept, unless the sink says another number."""

_MOST_BESIDE = 64 << 10
_MOST_REASON = 2_000
_HIDDEN = b"***"
_SECRET_NAME = re.compile(r"auth|cookie|passw|secret|token|api.?key|credential", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"(?P<name>\w*(?:password|secret|token|api_?key)\w*(?:\s*=\s*[\"']?|[\"']?\s*:\s*[\"']))"
    r"[^\s\"',;&]+|(?P<user>://[^\s/:@]+:)[^\s/@]+(?=@)",
    re.IGNORECASE,
)
_CLASS = re.compile(r"(\w+(?:Error|Exception|Failed))\b|^\[?([A-Z][A-Z_.]{3,})\b")


@dataclass(frozen=True)
class Origin:
    """The job in which failures happened.

    Attributes:
        group_by: the name of the GroupBy.
        run: the id of the run in the dataset's ledger; empty if there is no ledger.
    """

    group_by: str = ""
    run: str = ""


class Letter(NamedTuple):
    """A failure as it is kept.

    Attributes:
        failure: the failure, bounded and without secrets.
        error: the class of the error, the same for all letters with one cause.
        origin: the job in which the failure happened.
        failed_ms: when the failure happened.
        size: how many bytes key, headers and payload had.
        cut: whether some of these bytes are missing.
    """

    failure: Failure
    error: str
    origin: Origin
    failed_ms: int
    size: int
    cut: bool = False

    @property
    def id(self) -> str:
        """The same for the same message, row or request, whatever was wrong with it."""
        failure = self.failure
        place = (failure.form, failure.source, failure.position, failure.tile_size_ms, self.size)
        head = repr(place).encode("utf-8", "backslashreplace")
        return blake2b(head + failure.payload, digest_size=16).hexdigest()


def letter_of(
    failure: Failure, origin: Origin, failed_ms: int, most_bytes: int = MOST_BYTES
) -> Letter:
    """The letter of a failure; the docstring of this module says what it leaves out."""
    beside = sum(len(name) + len(value or b"") for name, value in failure.headers)
    beside += len(failure.key or b"")
    reason, error = _reason_and_class(failure.reason, failure.step)
    kept = failure._replace(
        reason=reason,
        payload=failure.payload[:most_bytes],
        headers=_without_secret_values(failure.headers) if failure.headers else (),
    )
    if is_heavy := beside > _MOST_BESIDE:
        kept = kept._replace(key=None, headers=())
    cut = is_heavy or len(failure.payload) > most_bytes
    size = len(failure.payload) + beside
    return Letter(kept, error, origin, failed_ms, size, cut)


@lru_cache(maxsize=1024)
def _reason_and_class(reason: str, step: str) -> tuple[str, str]:
    """The reason as it is kept, and the class of the error; cached, since reasons repeat."""
    kept = without_secrets(reason)
    short = kept if len(kept) <= _MOST_REASON else f"{kept[:_MOST_REASON]} ..."
    return short, error_class(kept, step)


def error_class(reason: str, step: str) -> str:
    """The class that a reason names, else one named after the step.

    >>> error_class("the serde failed: KeyError: 'a'", "Decode"), error_class("not JSON", "Decode")
    ('KeyError', 'DecodeError')
    >>> error_class("[CAST_INVALID_INPUT] The value 'x' ...", "Evaluate")
    'CAST_INVALID_INPUT'
    """
    found = _CLASS.search(reason)
    return (found[1] or found[2]) if found else f"{step}Error"


def without_secrets(text: str) -> str:
    """The text with `***` for what looks like a password or token.

    >>> without_secrets("http://ann:pw@host refused: token=abc")
    'http://ann:***@host refused: token=***'
    """
    return _SECRET_TEXT.sub(lambda found: f"{found['name'] or found['user']}***", text)


def _without_secret_values(headers: Headers) -> Headers:
    return tuple(
        (name, _HIDDEN if value and _SECRET_NAME.search(name) else value) for name, value in headers
    )
