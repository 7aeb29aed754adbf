"""`chronon-beam demo`: Kafka, Flink, a job and its features, live on one machine."""

import os
import shutil
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

from chronon_beam.pipeline.command import DONE, Command

_EXAMPLE = """example:
  chronon-beam demo --rate=500 --seconds=60

Starts a Kafka broker, a shop that writes orders to it, and the job on local Flink with checkpoints;
prints the commands that fetch a feature, trace an order and plan the GroupBy; and shows how far the
job has come:
  orders  records in the topic            stored  orders that a fetch sees
  dead    orders that could not be read   lag     records of which nothing has come yet
  fresh   from an order to the first fetch that sees it: of half of the last 1,000, and of 99 %
What it needs of Kafka and Flink (about 260 MB) is downloaded once, to ~/.cache/chronon_beam or
$CHRONON_BEAM_CACHE. Ctrl-C ends all processes and removes the folder of the demo."""


def _add_flags(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--rate", type=_positive, default=50.0, metavar="N", help="orders per second (default: 50)"
    )
    parser.add_argument(
        "--seconds",
        type=_positive,
        metavar="N",
        help="end so long after the first feature (default: at Ctrl-C)",
    )
    parser.add_argument(
        "--port", type=int, metavar="PORT", help="the port of Kafka (default: a free one)"
    )
    parser.add_argument(
        "--keep",
        metavar="FOLDER",
        help="make this folder for the store, the topic and the logs, and leave it there "
        "(default: a temporary one, which is removed)",
    )


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ArgumentTypeError(f"{text!r}: a number greater than 0 is expected")
    return number


def _run(arguments: Namespace, _: list[str]) -> int:
    try:
        from chronon_beam.pipeline.demo.session import DemoOptions, demo
    except ModuleNotFoundError as error:
        if error.name != "confluent_kafka":
            raise
        raise ImportError(
            "the demo needs a client of Kafka: pip install 'chronon-beam[kafka]'"
        ) from None
    from chronon_beam.pipeline.demo.screen import Screen

    options = DemoOptions(
        arguments.rate, arguments.seconds, arguments.port, arguments.keep, _program()
    )
    demo(options, Screen())
    return DONE


def _program() -> str:
    """What a user types for `chronon-beam`, from the same folder."""
    name, called = "chronon-beam", Path(sys.argv[0])
    found = shutil.which(name)
    if called.name != name:
        return f"{sys.executable} -m chronon_beam.pipeline"
    if found and Path(found).resolve() == called.resolve():
        return name
    return min(str(called.absolute()), os.path.relpath(called), key=len)


COMMAND = Command(
    "show Kafka, Flink and fresh features live, on this machine", _EXAMPLE, _add_flags, _run
)
