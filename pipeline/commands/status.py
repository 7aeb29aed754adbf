"""`chronon-beam status`: shows what a store holds of each GroupBy."""

import json
import sys
import time
from argparse import ArgumentParser, Namespace
from contextlib import closing
from dataclasses import asdict

from chronon_beam.pipeline import options as flags
from chronon_beam.pipeline.command import DONE, FAILED, Command

_EXAMPLE = """example:
  chronon-beam status --store sqlite:features.db
  chronon-beam status --store sqlite:features.db --group_by examples/ice_cream/group_by.py

Shows each GroupBy that jobs have written to the store, or those given: its kind and windows, keys
and features, how many tiles there are of how many keys, the newest tile and its age, and the end of
the batch values. A store that cannot count without reading is read up to 200,000 values: "at least"
says so."""


def _add_flags(parser: ArgumentParser) -> None:
    flags.add_store(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object per GroupBy")
    parser.add_argument(
        "--group_by",
        action="append",
        default=[],
        metavar="FILE",
        help="show this GroupBy alone, as the file declares it; may be repeated",
    )
    flags.add_dialect(parser)


def _run(arguments: Namespace, _: list[str]) -> int:
    from chronon_beam.api.load import load_group_by
    from chronon_beam.io.kv_store import open_store
    from chronon_beam.pipeline.status import as_text, statuses

    declared = [load_group_by(each, arguments.dialect) for each in arguments.group_by]
    shown, missing = 0, 0
    with closing(open_store(arguments.store)) as store:
        for status in statuses(store, declared, int(time.time() * 1000)):
            if arguments.json:
                print(json.dumps(asdict(status)))
            else:
                print("\n" * bool(shown) + as_text(status))
            shown += 1
            missing += bool(declared) and status.reason != ""
    if not shown:
        print(_EMPTY.format(arguments.store), file=sys.stderr)
    return FAILED if missing or not shown else DONE


_EMPTY = (
    "chronon-beam: {0} holds no GroupBy: `chronon-beam run` and `chronon-beam upload` with "
    "--store={0} write to it"
)


COMMAND = Command("show what a store holds, and how fresh it is", _EXAMPLE, _add_flags, _run)
