"""Makes the folder of `chronon-beam template dataflow`: what Dataflow launches a job with."""

import json
from pathlib import Path

from apache_beam.version import __version__ as beam_version

from chronon_beam.api.group_by import GroupBy, GroupByError
from chronon_beam.api.load import compile_group_by, file_of, load_computable, load_group_by
from chronon_beam.api.validation import require_temporal
from chronon_beam.pipeline.options import UsageError
from chronon_beam.pipeline.templates.flex_template import Json, image_spec, metadata
from chronon_beam.pipeline.templates.image import write_image
from chronon_beam.pipeline.templates.staged_package import EXTRAS, PYTHON

GROUP_BY = "group_by.json"
LAUNCHER = "launch.py"

_LAUNCHER = '''\
"""Dataflow's launcher runs this file with the parameters of a launch: it is `chronon-beam run`."""

import sys
from pathlib import Path

from chronon_beam.pipeline.entry import main

if __name__ == "__main__":
    group_by = Path(__file__).with_name("{group_by}")
    sys.argv[1:1] = [
        "run",
        f"--group_by={{group_by}}",
        {flags},
        # What a launch gives comes after these, and wins.
    ]
    sys.exit(main())
'''

_DOCKERFILE = """\
# Starts the workers; of the Beam that made this folder.
COPY --from=apache/beam_python{python}_sdk:{beam} /opt/apache/beam /opt/apache/beam
# Starts the launcher.
COPY --from=gcr.io/dataflow-templates-base/python{short}-template-launcher-base:latest \\
    /opt/google/dataflow/python_template_launcher /opt/google/dataflow/python_template_launcher
WORKDIR /template
COPY {launcher} {group_by} ./
ENV FLEX_TEMPLATE_PYTHON_PY_FILE=/template/{launcher}
ENTRYPOINT ["/opt/apache/beam/boot"]
"""


def write_folder(place: str, dialect: str | None, image: str, output: str) -> None:
    """Write the image's files, the parameters, and the file that a launch names.

    Args:
        place: of the GroupBy.
        dialect: it is written in; None: as `load_group_by` says.
        image: the name under which the image is pushed.
        output: the folder.

    Raises:
        GroupByError: the GroupBy cannot be streamed, or means another thing once compiled.
        UsageError: the output is a file.
    """
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--output={folder}: a folder is expected, and this is a file")
    group_by = load_computable(place, dialect)
    require_temporal(group_by)
    folder.mkdir(parents=True, exist_ok=True)
    _write_group_by(folder / GROUP_BY, place, group_by)
    _write(folder / "metadata.json", metadata(group_by.name))
    _write(folder / "template.json", image_spec(image, group_by.name))
    flags = [
        f"--dialect={group_by.dialect.name}",
        "--runner=DataflowRunner",
        "--streaming",
        f"--sdk_container_image={image}",
        # Dataflow starts the job when this program has ended.
        "--no_wait_until_finish",
    ]
    lines = ",\n        ".join(map(json.dumps, flags))
    launcher = _LAUNCHER.format(group_by=GROUP_BY, flags=lines)
    (folder / LAUNCHER).write_text(launcher, encoding="utf-8")
    write_image(folder, _dockerfile(), ("dataflow", *EXTRAS))


def _dockerfile() -> str:
    return _DOCKERFILE.format(
        python=PYTHON,
        short=PYTHON.replace(".", ""),
        beam=beam_version,
        launcher=LAUNCHER,
        group_by=GROUP_BY,
    )


def _write_group_by(path: Path, place: str, group_by: GroupBy) -> None:
    """Compiled, so that the image needs none of the modules that a Python file imports."""
    if file_of(place).suffix == ".py":
        done = compile_group_by(place, group_by.dialect.name)
        text = json.dumps(done.conf, indent=2, sort_keys=done.sorts_fields)
    else:
        text = file_of(place).read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    if load_group_by(str(path), group_by.dialect.name) != group_by:
        raise GroupByError(
            f"--group_by={place}: it means another thing once it is compiled: give what "
            "`chronon-beam compile` prints of it, after checking that"
        )


def _write(path: Path, content: Json) -> None:
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")
