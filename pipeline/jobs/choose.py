"""Which job a user means: by its id, by the first digits of its id, or by its name."""

import difflib
from collections.abc import Sequence

from chronon_beam.pipeline.jobs.answers import ListedJob
from chronon_beam.pipeline.options import UsageError

_LEAST_DIGITS = 3
_SHOWN = 5


def chosen(jobs: Sequence[ListedJob], word: str) -> ListedJob:
    """The job that `word` stands for.

    A name may have had several jobs: the one that has not ended counts, else the last one.

    Raises:
        UsageError: there is no such job, or several that have not ended.
    """
    by_id = [job for job in jobs if job.job_id.startswith(word.lower())]
    found = [job for job in jobs if job.name == word]
    if not found and (len(word) >= _LEAST_DIGITS or len(by_id) == 1):
        found = by_id
        if len(found) > 1:
            raise UsageError(f"{word} is the beginning of several ids: {_listed(found)}")
    live = [job for job in found if not job.has_ended]
    if len(live) > 1:
        raise UsageError(
            f"{word} is the name of several jobs, choose one by its id: {_listed(live)}"
        )
    if not found:
        raise UsageError(_no_such_job(jobs, word))
    return live[0] if live else max(found, key=lambda job: job.started_ms)


def _no_such_job(jobs: Sequence[ListedJob], word: str) -> str:
    names = [job.name for job in jobs]
    ids = {job.job_id[: len(word)]: job for job in jobs}
    near = difflib.get_close_matches(word, dict.fromkeys(names), n=3, cutoff=0.5)
    near += [ids[each].job_id for each in difflib.get_close_matches(word.lower(), ids, n=1)]
    if near:
        return f"the cluster has no job {word}: did you mean {' or '.join(near)}?"
    known = f"it has {', '.join(dict.fromkeys(names))}" if jobs else "it has none"
    return f"the cluster has no job {word}: {known}"


def _listed(jobs: Sequence[ListedJob]) -> str:
    shown = ", ".join(f"{job.job_id} ({job.name}, {job.state})" for job in jobs[:_SHOWN])
    return f"{shown} and {len(jobs) - _SHOWN} more" if len(jobs) > _SHOWN else shown
