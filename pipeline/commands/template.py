"""`chronon-beam template`: makes a job a file that is launched later; a sub-command per kind."""

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from importlib import import_module

from chronon_beam.pipeline.command import Command

KINDS = {
    "flink": "chronon_beam.pipeline.templates.flink",
    "kubernetes": "chronon_beam.pipeline.templates.kubernetes",
    "dataflow": "chronon_beam.pipeline.templates.dataflow",
}
"""The module of each kind of template, which holds a Command as COMMAND."""

_EXAMPLE = """example:
  chronon-beam template flink --group_by examples/ice_cream/group_by.py \\
      --source 'kafka://broker:9092/ice_cream?schema=customer_id STRING, ...' --output job.jar

`chronon-beam template KIND --help` says what each kind needs."""


def _add_flags(parser: ArgumentParser) -> None:
    kinds = parser.add_subparsers(required=True, metavar="KIND")
    for name, module in KINDS.items():
        kind: Command = import_module(module).COMMAND
        one = kinds.add_parser(
            name,
            help=kind.summary,
            description=f"{kind.summary[0].upper()}{kind.summary[1:]}.",
            epilog=kind.example,
            formatter_class=RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        kind.add_flags(one)
        one.set_defaults(kind=kind)


def _run(arguments: Namespace, beam_flags: list[str]) -> int:
    kind: Command = arguments.kind
    return kind.run(arguments, beam_flags)


COMMAND = Command("make a job a file that is launched later", _EXAMPLE, _add_flags, _run)
