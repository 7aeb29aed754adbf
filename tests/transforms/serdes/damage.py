"""Reads damaged messages of every format, and says what became of them.

    python tests/transforms/serdes/damage.py --payloads 100000 [--formats avro,csv] [--seed 1]

One line of JSON per format. In each batch sound messages stand between the damaged ones, and must
be read as if they were alone. `grown_mb` is how much the process grew meanwhile, and
`sound_grown_mb` how much it grew over a fifth as many sound messages. A crash of native code ends
the process, after the line of the format before.
"""

import argparse
import faulthandler
import json
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from small_registry import SmallRegistry
from written import FORMATS, Place, Written, sale

from chronon_beam.api.records import Messages
from chronon_beam.api.serde import Decoder
from chronon_beam.transforms.decode import Events, decode_messages
from chronon_beam.transforms.serdes import open_serde

BATCH = 1000
SOUND_EVERY = 10
SAMPLES = 500
SOUND_SHARE = 5
_PAGE = os.sysconf("SC_PAGE_SIZE")
_COLUMNS = pa.schema([("user", pa.string()), ("id", pa.int64()), ("note", pa.string())])
_PIECES = [
    *(b"\x00", b"\x01", b"\x7f", b"\x80", b"\xff", b"\xff" * 9, b"\xff" * 10 + b"\x01"),
    *(b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"\xfe\xff\xff\xff\x0f", b"\x0c\x00\x63" * 40),
    *(b"\x3b\x0a" * 90, b"\x1c" * 90, b"\xc3\x28", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xc3\x01"),
    *(b"{", b"}", b"[" * 300, b'{"a":' * 300, b'"', b"\\", b"\\ud800", b"\\u0000", b",", b":"),
    *(b"null", b"true", b"1e999", b"-0", b"NaN", b"9" * 40, b"1." + b"3" * 400, b"0x1", b"\r\n"),
]
"""Lengths, numbers, brackets and text that readers are known to stumble over."""

Damage = Callable[[random.Random, bytes], bytes]


def _flip(chance: random.Random, payload: bytes) -> bytes:
    damaged = bytearray(payload)
    for _ in range(chance.randint(1, 4)):
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def _cut(chance: random.Random, payload: bytes) -> bytes:
    return payload[: chance.randrange(len(payload))]


def _replace(chance: random.Random, payload: bytes) -> bytes:
    at = chance.randrange(len(payload) + 1)
    return payload[:at] + chance.choice(_PIECES) + payload[at + chance.randint(0, 8) :]


def _splice(chance: random.Random, payload: bytes) -> bytes:
    at, to = sorted(chance.randrange(len(payload) + 1) for _ in range(2))
    return payload[:to] + payload[at:]


def _noise(chance: random.Random, payload: bytes) -> bytes:
    kept = chance.choice((0, 1, 5, 6, len(payload) // 2))
    return payload[:kept] + chance.randbytes(chance.randint(0, 80))


DAMAGES: Sequence[Damage] = (_flip, _cut, _replace, _replace, _splice, _noise)


class Outcome(NamedTuple):
    """What became of the messages of one format.

    Attributes:
        format: its name in `FORMATS`.
        payloads: damaged ones.
        rows: those that a reader may take for sales all the same.
        letters: those with a reason.
        escaped: those whose reason is an exception that the serde did not expect.
        changed: sound ones that have a reason, and all of a batch where one has another row than
            alone.
        grown_mb: growth of the process over the damaged ones.
        sound_grown_mb: growth over a fifth as many sound ones.
    """

    format: str
    payloads: int
    rows: int
    letters: int
    escaped: int
    changed: int
    grown_mb: float
    sound_grown_mb: float


class Reader:
    """Reads batches of one format, as a job does."""

    def __init__(self, written: Written) -> None:
        serde = open_serde(written.format)
        self.decoder: Decoder = serde.decoder(serde.schema() or _COLUMNS)
        self.sound = [written.write(sale(number, SAMPLES)) for number in range(SAMPLES)]
        self.whole = self._decoded(self.sound).events.batch
        assert self.whole.num_rows == SAMPLES

    def _decoded(self, payloads: list[bytes]) -> "_Read":
        messages = Messages("sales/0", list(range(len(payloads))), payloads)
        result = decode_messages(messages, self.decoder)
        return _Read(result.batch, {each.position: each.reason for each in result.failures})

    def sound_batches(self, payloads: int) -> None:
        """Read that many sound messages."""
        for at in range(0, payloads, BATCH):
            self._decoded([self.sound[(at + each) % SAMPLES] for each in range(BATCH)])

    def damaged_batch(self, chance: random.Random) -> Counter[str]:
        """What became of one batch, by the names of `Outcome`."""
        payloads: list[bytes] = []
        numbers: dict[int, int] = {}
        for at in range(BATCH):
            number = chance.randrange(SAMPLES)
            payloads.append(self.sound[number])
            if at % SOUND_EVERY == 0:
                numbers[at] = number
            else:
                payloads[-1] = chance.choice(DAMAGES)(chance, payloads[-1])
        events, reasons = self._decoded(payloads)
        rows = dict(zip(events.positions, range(BATCH), strict=False))
        assert len(rows) == events.batch.num_rows
        assert set(rows) | set(reasons) == set(range(BATCH))
        assert not set(rows) & set(reasons)
        kept = {rows[at]: number for at, number in numbers.items() if at in rows}
        read, alone = events.batch.take(list(kept)), self.whole.take(list(kept.values()))
        changed = len(numbers) - (len(kept) if read.equals(alone) else 0)
        return Counter(
            payloads=BATCH - len(numbers),
            rows=len(set(rows) - set(numbers)),
            letters=len(set(reasons) - set(numbers)),
            escaped=sum("the serde failed" in why for why in reasons.values()),
            changed=changed,
        )


class _Read(NamedTuple):
    events: Events
    reasons: dict[int, str]


def outcome(name: str, written: Written, payloads: int, seed: int) -> Outcome:
    """Read `payloads` damaged messages of a format, once memory has taken its shape."""
    reader, chance = Reader(written), random.Random(f"{seed} {name}")
    for _ in range(5):
        reader.damaged_batch(chance)
    reader.sound_batches(5 * BATCH)
    before = _rss_mb()
    reader.sound_batches(payloads // SOUND_SHARE)
    between = _rss_mb()
    found: Counter[str] = Counter()
    while found["payloads"] < payloads:
        found += reader.damaged_batch(chance)
    reader.decoder.close()
    grown, sound_grown = round(_rss_mb() - between, 1), round(between - before, 1)
    counts = (found[each] for each in ("payloads", "rows", "letters", "escaped", "changed"))
    return Outcome(name, *counts, grown, sound_grown)


def _rss_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / (1 << 20)


def outcomes(names: Sequence[str], payloads: int, seed: int) -> Iterator[Outcome]:
    """Of each format in turn."""
    with SmallRegistry() as registry, tempfile.TemporaryDirectory() as folder:
        for name in names:
            place = Place(Path(folder, name), registry.url, name)
            place.folder.mkdir()
            yield outcome(name, FORMATS[name](place), payloads, seed)


def main() -> int:
    """Print the outcomes."""
    faulthandler.enable()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--payloads", type=int, default=100_000, help="damaged ones per format")
    parser.add_argument("--formats", default=",".join(FORMATS), help="of %(default)s")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for each in outcomes(given.formats.split(","), given.payloads, given.seed):
        print(json.dumps(each._asdict()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
