"""`chronon-beam template flink`: a job as one executable jar, for a Flink cluster."""

import sys
from argparse import ArgumentParser, Namespace

from chronon_beam.pipeline import options as flags
from chronon_beam.pipeline.command import DONE, Command
from chronon_beam.pipeline.max_dead import MaxDead

_EXAMPLE = """example:
  chronon-beam template flink --group_by examples/ice_cream/group_by.py \\
      --source 'kafka://broker:9092/ice_cream?schema=customer_id STRING, ...' --output job.jar
  flink run -d job.jar --source=kafka://broker:9092/ice_cream --store=bigtable://project/instance

Of --source, the jar keeps only the schema and the format of the events: each launch says what is
read and where tiles go. `java -jar job.jar --help` lists what a launch may say."""

_OF_A_LAUNCH = {
    "store": "",
    "dead_letters": None,
    "max_dead": MaxDead(),
    "allow_unread": False,
    "existing": None,
    "runner": "FlinkRunner",
}


def _add_flags(parser: ArgumentParser) -> None:
    flags.add_group_by(parser)
    flags.add_source(parser, required=False)
    flags.add_live(parser)
    flags.add_tiling(parser)
    jar = parser.add_argument_group("the jar")
    jar.add_argument("--output", required=True, metavar="PATH", help="the jar, for example job.jar")
    jar.add_argument(
        "--flink_job_server_jar",
        metavar="PATH",
        help="Beam's job server for the Flink version of the cluster (default: that of Flink 1.19)",
    )
    parser.set_defaults(**_OF_A_LAUNCH)


def _run(arguments: Namespace, _: list[str]) -> int:
    from chronon_beam.pipeline.templates.executable_jar import write_jar

    options = flags.job_options(arguments)
    write_jar(options, arguments.output, arguments.flink_job_server_jar)
    print(
        f"{arguments.output}: launch it with `flink run -d {arguments.output} --source=... "
        "--store=...`; `java -jar` with --help lists all arguments",
        file=sys.stderr,
    )
    return DONE


COMMAND = Command("a job as one jar that a Flink cluster runs", _EXAMPLE, _add_flags, _run)
