"""A job whose source, store and dead letters are named by each launch, for templates."""

from dataclasses import dataclass, replace

from chronon_beam.io.at_launch import at_launch
from chronon_beam.io.dead_letters.launched import LaunchedDeadLetters
from chronon_beam.io.dead_letters.letter import Origin
from chronon_beam.io.sources import Source
from chronon_beam.pipeline.existing import definition_of
from chronon_beam.pipeline.job import Job
from chronon_beam.pipeline.options import JobOptions
from chronon_beam.pipeline.prepare import prepare, streamed_group_by
from chronon_beam.pipeline.templates.entering import RUN, EnterAtLaunch


@dataclass(frozen=True)
class LaunchedJob:
    """A job with its source and its sink of dead letters; a launch says where each of them is."""

    job: Job
    source: Source
    dead_letters: LaunchedDeadLetters


def launched_job(options: JobOptions) -> LaunchedJob:
    """Plan a job for a template; the source is read only for a schema that is not given.

    Args:
        options: the job's flags; of `source`, only what decides the meaning of events is kept.

    Raises:
        GroupByError, QueryError, UsageError, ValueError: as `prepare` and `Source.launched`.
    """
    group_by = streamed_group_by(options)
    prepared = prepare(options, group_by, reach=False)
    tiled = options.tiling is not None
    definition = definition_of(group_by, tiled, options.layout)
    dead_letters = LaunchedDeadLetters(at_launch("dead_letters", "log:"), at_launch(RUN))
    dead_letters.origin = Origin(group_by.name)
    enter = EnterAtLaunch(prepared.info, definition, dead_letters.uri)
    job = replace(prepared.job, store_uri=at_launch("store"), enter=enter)
    return LaunchedJob(job, prepared.source.launched(at_launch("source")), dead_letters)
