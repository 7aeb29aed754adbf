"""`chronon-beam template dataflow`: a job as a Flex Template, for Google Cloud Dataflow."""

import sys
from argparse import ArgumentParser, Namespace

from chronon_beam.pipeline import options as flags
from chronon_beam.pipeline.command import DONE, Command

_EXAMPLE = """example:
  chronon-beam template dataflow --group_by examples/ice_cream/group_by.py \\
      --image europe-docker.pkg.dev/project/jobs/ice-cream:1 --output ice_cream
  docker build -t europe-docker.pkg.dev/project/jobs/ice-cream:1 ice_cream
  docker push europe-docker.pkg.dev/project/jobs/ice-cream:1
  gcloud storage cp ice_cream/template.json gs://bucket/ice_cream.json
  gcloud dataflow flex-template run ice-cream --region=europe-west1 \\
      --template-file-gcs-location=gs://bucket/ice_cream.json \\
      --parameters='source=pubsub://project/subscriptions/orders?schema=...' \\
      --parameters=store=bigtable://project/instance

A launch says all that `run` takes; ice_cream/metadata.json lists it."""


def _add_flags(parser: ArgumentParser) -> None:
    flags.add_group_by(parser)
    group = parser.add_argument_group("Dataflow")
    group.add_argument("--output", required=True, metavar="FOLDER", help="takes all files")
    group.add_argument(
        "--image", required=True, help="the name under which you push the image of the folder"
    )


def _run(arguments: Namespace, _: list[str]) -> int:
    from chronon_beam.pipeline.templates.flex_folder import write_folder

    write_folder(arguments.group_by, arguments.dialect, arguments.image, arguments.output)
    folder, image = arguments.output, arguments.image
    print(
        f"{folder}: docker build -t {image} {folder} && docker push {image} && "
        f"gcloud storage cp {folder}/template.json gs://...",
        file=sys.stderr,
    )
    return DONE


COMMAND = Command("a job as a Flex Template for Google Cloud Dataflow", _EXAMPLE, _add_flags, _run)
