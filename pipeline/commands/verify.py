"""`chronon-beam verify`: recomputes what a store should hold, and compares."""

from argparse import ArgumentParser, Namespace

from chronon_beam.api.time_text import parse_moment
from chronon_beam.pipeline import options as flags
from chronon_beam.pipeline.command import DONE, FAILED, Command

_EXAMPLE = """example:
  chronon-beam verify --group_by examples/ice_cream/group_by.py \\
      --source file:examples/ice_cream/events.jsonl --store sqlite:features.db

Makes all tiles (or rows) anew from the events, and compares them with the store by value: missing,
stale (made of fewer events), extra, and wrong ones. A Kafka topic is read from its beginning to its
present end, by a consumer group of its own. Exit code 1 if anything differs. Flags that are not
listed go to Beam and its runner."""


_BORDERS = {"from": "begin at TIME or later", "to": "end at TIME or before"}

_LATE = "as the job has it: with dead_letter, tiles may lack late events (default: repair)"


def _add_flags(parser: ArgumentParser) -> None:
    flags.add_group_by(parser)
    flags.add_source(parser)
    flags.add_store(parser)
    verified = parser.add_argument_group("what is verified")
    for name, meaning in _BORDERS.items():
        about = f"tiles that {meaning}: milliseconds since the epoch, or 2026-05-01T12:00:00Z"
        place = f"{name}_ms"
        verified.add_argument(
            f"--{name}", dest=place, type=parse_moment, metavar="TIME", help=about
        )
    verified.add_argument(
        "--keys", metavar="FILE", help="one JSON object of key columns per line; - for stdin"
    )
    verified.add_argument(
        "--report", metavar="FILE", help="where all differences go, one JSON object per line"
    )
    late = ("repair", "dead_letter")
    verified.add_argument("--late", choices=late, default="repair", help=_LATE)
    flags.add_dead_letters(parser)
    flags.add_runner(parser)


def _run(arguments: Namespace, beam_flags: list[str]) -> int:
    from chronon_beam.pipeline.runners import beam_flags as beams
    from chronon_beam.pipeline.verification.verify import VerifyOptions, verify
    from chronon_beam.transforms.tiling.settings import Late

    flags.check_flags(beam_flags, beams.known(arguments.runner))
    given = {
        name: getattr(arguments, name)
        for name in VerifyOptions.__dataclass_fields__
        if getattr(arguments, name) is not None
    }
    options = VerifyOptions(**{**given, "late": Late(arguments.late)})
    return DONE if verify(options, arguments.runner, beam_flags).sound else FAILED


COMMAND = Command(
    "compare a store with its events", _EXAMPLE, _add_flags, _run, takes_beam_flags=True
)
