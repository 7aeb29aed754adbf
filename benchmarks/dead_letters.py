"""What dead letters cost: CPU per letter of one cause, by where they are kept.

    python benchmarks/dead_letters.py [--letters N] [--kafka HOST:PORT/TOPIC]

The failures of a job pass the step that keeps letters, in bundles of 1,000. Last line: JSON.
"""

import argparse
import json
import logging
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from chronon_beam.api.records import Failure, Form
from chronon_beam.io.dead_letters.letter import Origin
from chronon_beam.io.dead_letters.sinks import DeadLetters, _KeepFn, open_dead_letters

BUNDLE = 1000
PAYLOAD = (
    b'{"user": "ann", "price": "5", "at": 1700000001000, "note": "a message of 100 bytes or so"}'
)
REASON = "column 'price': expected DOUBLE, found '5'"


class Lines(logging.Handler):
    """Counts what is logged."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


def failures(first: int) -> list[Failure]:
    """A bundle of one cause, each of a message of its own."""
    return [
        Failure("Decode", REASON, PAYLOAD, "orders/0", offset, Form.MESSAGE, b"ann", (), offset)
        for offset in range(first, first + BUNDLE)
    ]


def cpu_us_per_letter(sink: DeadLetters, letters: int) -> float:
    """CPU of this process, threads of clients included, after a first bundle."""
    step = _KeepFn(sink.opener(), Origin("bench", "run"))
    bundles = [failures(at) for at in range(0, letters + BUNDLE, BUNDLE)]
    began = 0.0
    for number, bundle in enumerate(bundles):
        if number == 1:
            began = time.process_time()
        step.start_bundle()
        for failure in bundle:
            step.process(failure)
        step.finish_bundle()
    used = time.process_time() - began
    step.teardown()
    return used * 1e6 / letters


def main(argv: Sequence[str] | None = None) -> None:
    """Measure each sink, and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--letters", type=int, default=50_000)
    parser.add_argument("--kafka", help="a topic that exists")
    arguments = parser.parse_args(argv)
    lines = Lines()
    logging.getLogger("chronon_beam").addHandler(lines)
    logging.getLogger("chronon_beam").propagate = False
    with tempfile.TemporaryDirectory() as folder:
        uris = {"log": "log:", "file": f"file:{Path(folder) / 'dead.jsonl'}"}
        uris["sqlite"] = f"sqlite:{Path(folder) / 'dead.db'}"
        if arguments.kafka:
            uris["kafka"] = f"kafka://{arguments.kafka}"
        stages = {
            name: round(cpu_us_per_letter(open_dead_letters(uri), arguments.letters), 2)
            for name, uri in uris.items()
        }
    result = {
        "benchmark": "dead_letters",
        "settings": {"letters": arguments.letters, "bundle": BUNDLE, "payload": len(PAYLOAD)},
        "events": arguments.letters,
        "cpu_us_per_event": stages["file"],
        "stages": stages,
        "log_lines": lines.count,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
