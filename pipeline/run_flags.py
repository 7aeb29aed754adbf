"""The flags of a job that runs, for `run` and for templates that run it later."""

from argparse import ArgumentParser

from chronon_beam.pipeline import options as flags


def add_run_flags(parser: ArgumentParser) -> None:
    """All flags of `run` but those of Beam and its runners."""
    flags.add_group_by(parser)
    flags.add_source(parser, required=False)
    flags.add_live(parser)
    flags.add_store(parser)
    flags.add_dead_letters(parser)
    flags.add_losses(parser)
    flags.add_existing(parser)
    flags.add_tiling(parser)
    flags.add_runner(parser)
