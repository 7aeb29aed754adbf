"""`chronon-beam template kubernetes`: a job as manifests and an image, for Flink's operator."""

import sys
from argparse import ArgumentParser, Namespace

from chronon_beam.pipeline import options as flags
from chronon_beam.pipeline.command import DONE, Command
from chronon_beam.pipeline.max_dead import MaxDead
from chronon_beam.pipeline.templates.launch_flags import add_launch

_EXAMPLE = """example:
  chronon-beam template kubernetes --group_by examples/ice_cream/group_by.py \\
      --source 'kafka://broker:9092/ice_cream?schema=customer_id STRING, ...' \\
      --store bigtable://project/instance --storage gs://bucket/ice_cream \\
      --image registry/ice-cream:1 --output ice_cream
  docker build -t registry/ice-cream:1 ice_cream && docker push registry/ice-cream:1
  kubectl apply -k ice_cream

Passwords are in no file: workers take them from the Secret that --secret names."""


def _add_flags(parser: ArgumentParser) -> None:
    flags.add_group_by(parser)
    flags.add_source(parser, required=False)
    flags.add_live(parser)
    flags.add_store(parser)
    flags.add_dead_letters(parser)
    flags.add_tiling(parser)
    _add_kubernetes(parser)
    add_launch(parser)
    parser.set_defaults(runner="FlinkRunner", max_dead=MaxDead(), allow_unread=False, existing=None)


def _add_kubernetes(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("Kubernetes")
    group.add_argument("--output", required=True, metavar="FOLDER", help="takes all files")
    group.add_argument(
        "--image", required=True, help="the name under which you push the image of the folder"
    )
    group.add_argument(
        "--storage",
        required=True,
        metavar="URI",
        help="checkpoints, savepoints and what a new JobManager needs go below it, for example "
        "s3://bucket/job",
    )
    _add_names(group)


def _add_names(group: flags.Flags) -> None:
    group.add_argument("--name", help="of the FlinkDeployment (default: made from the GroupBy's)")
    group.add_argument("--namespace", help="of all manifests (default: left to kubectl)")
    group.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a variable of the workers that is no secret, for example "
        "KAFKA_SECURITY_PROTOCOL=SASL_SSL; repeat it for more",
    )
    group.add_argument(
        "--secret",
        metavar="NAME",
        help="the Secret with passwords, as KAFKA_SASL_PASSWORD (default: the name, and -secrets)",
    )


def _run(arguments: Namespace, _: list[str]) -> int:
    from chronon_beam.pipeline.templates.deployed_job import write_folder

    write_folder(arguments, flags.job_options(arguments))
    image, folder = arguments.image, arguments.output
    print(
        f"{folder}: docker build -t {image} {folder} && docker push {image} && "
        f"kubectl apply -k {folder}",
        file=sys.stderr,
    )
    return DONE


COMMAND = Command(
    "a job as manifests and an image for Flink's Kubernetes operator", _EXAMPLE, _add_flags, _run
)
