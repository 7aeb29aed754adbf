"""The flags of a job that runs, for `run` and for templates that run it later."""

from argparse import ArgumentParser, Namespace

from chronon_beam.pipeline import options as flags


def add_run_flags(parser: ArgumentParser, several: bool = False) -> None:
    """All flags of `run` but those of Beam and its runners; for `several`, see `add_group_by`."""
    flags.add_group_by(parser, several)
    flags.add_source(parser, required=False)
    flags.add_live(parser)
    flags.add_store(parser)
    flags.add_dead_letters(parser)
    flags.add_losses(parser)
    flags.add_existing(parser)
    flags.add_tiling(parser)
    flags.add_runner(parser)


def one_by_one(arguments: Namespace) -> list[Namespace]:
    """The flags for each of several GroupBys; raises UsageError for one that is named twice."""
    places: list[str] = arguments.group_by
    twice = next((place for place in places if places.count(place) > 1), None)
    if twice is not None:
        raise flags.UsageError(f"--group_by={twice}: it is given twice")
    return [Namespace(**{**vars(arguments), "group_by": place}) for place in places]
