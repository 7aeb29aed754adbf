"""`chronon-beam redrive`: puts dead letters through their job again."""

from argparse import ArgumentParser, Namespace
from dataclasses import replace

from chronon_beam.pipeline import options as flags
from chronon_beam.pipeline.command import DONE, FAILED, Command
from chronon_beam.pipeline.max_dead import MaxDead

STEPS = ("Read", "Decode", "Evaluate", "Tile", "Convert", "Write", "Delete")

_EXAMPLE = """example:
  chronon-beam redrive --group_by examples/ice_cream/group_by.py --store sqlite:features.db \\
      --source file:examples/ice_cream/events.jsonl --dead_letters file:dead_letters.jsonl --dry_run

Give the flags that the job was run with; schema, selects and wheres may have been mended since.
Each letter counts once, however often it is redriven. Exit code 1: letters remain that can be
redriven once their cause is mended."""


def _add_flags(parser: ArgumentParser) -> None:
    flags.add_group_by(parser)
    flags.add_source(parser, required=False)
    flags.add_live(parser)
    flags.add_store(parser)
    letters = parser.add_argument_group("letters")
    letters.add_argument(
        "--dead_letters",
        required=True,
        metavar="URI",
        help="where the letters are: file:PATH, sqlite:PATH or kafka://HOST:PORT/TOPIC",
    )
    letters.add_argument(
        "--step", choices=STEPS, action="append", help="only letters of this step; may be repeated"
    )
    letters.add_argument(
        "--dry_run", action="store_true", help="say what would become of the letters"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    flags.add_ended(parser)
    flags.add_tiling(parser)
    parser.set_defaults(runner="DirectRunner", max_dead=MaxDead(), allow_unread=False)


def _run(arguments: Namespace, _: list[str]) -> int:
    from chronon_beam.pipeline.redrive.redriving import RedriveOptions, redrive

    job = replace(flags.job_options(arguments), dead_letters=None)
    steps = frozenset(arguments.step or ())
    report = redrive(RedriveOptions(job, arguments.dead_letters, steps, arguments.dry_run))
    for line in [report.json()] if arguments.json else report.lines():
        print(line)
    return FAILED if report.remaining and not arguments.dry_run else DONE


COMMAND = Command("put dead letters through their job again", _EXAMPLE, _add_flags, _run)
