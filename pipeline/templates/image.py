"""Writes what the image of a job is built from: this package as a wheel, versions, a Dockerfile."""

from pathlib import Path

from chronon_beam.pipeline.templates.staged_package import (
    EXTRAS,
    PYTHON,
    constraints,
    write_wheel,
)

DOCKERFILE = "Dockerfile"
CONSTRAINTS = "constraints.txt"

_HEAD = """\
# The image of a job: it launches the job, and it is what the workers run in.
# The package is the one that made this folder, with the versions that it had there.
FROM python:{python}-slim-bookworm{stages}
ARG EXTRAS={extras}
WORKDIR /package
COPY {wheel} {constraints} ./
RUN pip install --no-cache-dir --constraint {constraints} "./{wheel}[$EXTRAS]"
"""


def write_image(
    folder: Path, rest: str, extras: tuple[str, ...] = EXTRAS, stages: str = ""
) -> None:
    """Write the wheel, the versions and the Dockerfile.

    Args:
        folder: the folder that Docker builds the image from.
        rest: the lines of the Dockerfile after the package is installed.
        extras: the extras of the package that are installed.
        stages: the text after the name of the base image: the name and the rest of a first stage.
    """
    wheel = write_wheel(folder)
    pinned = "".join(f"{line}\n" for line in constraints(extras))
    (folder / CONSTRAINTS).write_text(pinned, encoding="utf-8")
    head = _HEAD.format(
        python=PYTHON,
        stages=stages,
        extras=",".join(extras),
        wheel=wheel.name,
        constraints=CONSTRAINTS,
    )
    (folder / DOCKERFILE).write_text(head + rest, encoding="utf-8")
