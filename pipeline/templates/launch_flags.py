"""The parameters of a launch that are for Flink, as flags of a command that builds and launches."""

from argparse import ArgumentParser

from chronon_beam.pipeline.templates.parameters import FLINK

_LEFT_OUT = ("job_name", "environment_type", "environment_config", "metrics_host")
"""Parameters whose values follow from how the job is run."""

LAUNCH = tuple(each for each in FLINK if each.name not in _LEFT_OUT)
"""The parameters that are flags."""


def add_launch(parser: ArgumentParser) -> None:
    """Add a flag for each of `LAUNCH`; the jar has the default of one that is not given."""
    group = parser.add_argument_group("how Flink runs it")
    for parameter in LAUNCH:
        name, expected = f"--{parameter.name}", parameter.expected.replace("%", "%%")
        if parameter.pattern:
            group.add_argument(name, metavar="VALUE", help=f"{parameter.help}: {expected}")
        else:
            group.add_argument(name, action="store_true", help=parameter.help)
