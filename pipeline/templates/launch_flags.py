"""Flags for what a launch may say to Flink, where a command is build and launch in one."""

from argparse import ArgumentParser

from chronon_beam.pipeline.templates.parameters import FLINK

_NOT_ASKED = ("job_name", "environment_type", "environment_config", "metrics_host")
"""What follows from how the job is run."""

LAUNCH = tuple(each for each in FLINK if each.name not in _NOT_ASKED)
"""The parameters that are flags."""


def add_launch(parser: ArgumentParser) -> None:
    """A flag for each of `LAUNCH`; what is not given is left to the jar."""
    group = parser.add_argument_group("how Flink runs it")
    for parameter in LAUNCH:
        name, expected = f"--{parameter.name}", parameter.expected.replace("%", "%%")
        if parameter.pattern:
            group.add_argument(name, metavar="VALUE", help=f"{parameter.help}: {expected}")
        else:
            group.add_argument(name, action="store_true", help=parameter.help)
