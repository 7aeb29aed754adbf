"""`chronon-beam compile`: prints the Thrift JSON that Chronon's compiler writes."""

import json
import sys
from argparse import ArgumentParser, Namespace

from chronon_beam.pipeline import options as flags
from chronon_beam.pipeline.command import DONE, Command

_EXAMPLE = """example:
  chronon-beam compile examples/ice_cream/group_by.py

Prints one JSON object, which --group_by of the other commands takes. What Chronon's own compiler
would refuse is said on stderr."""


def _add_flags(parser: ArgumentParser) -> None:
    parser.add_argument(
        "file",
        metavar="FILE.py[:VARIABLE]",
        help="a Python file that declares a GroupBy in Chronon's words",
    )
    flags.add_dialect(parser)


def _run(arguments: Namespace, _: list[str]) -> int:
    from chronon_beam.api.load import compile_group_by

    done = compile_group_by(arguments.file, arguments.dialect)
    for objection in done.objections:
        print(f"chronon-beam: {arguments.file}: {objection}", file=sys.stderr)
    print(json.dumps(done.conf, indent=2, sort_keys=done.sorts_fields))
    return DONE


COMMAND = Command("print a Python definition as Thrift JSON", _EXAMPLE, _add_flags, _run)
