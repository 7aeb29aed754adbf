"""The flags that say where Prometheus finds what a job measures."""

from argparse import ArgumentParser, Namespace

from chronon_beam.pipeline.options import UsageError


def add_metrics(parser: ArgumentParser) -> None:
    """Add the flags to a command that runs a job."""
    flags = parser.add_argument_group("metrics")
    flags.add_argument(
        "--metrics_port",
        type=int,
        metavar="N",
        help="serve metrics for Prometheus, in this process and in each worker process: at N or "
        "the next port that is free, and with 0 at any; each process says which (default: none)",
    )
    flags.add_argument(
        "--metrics_host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="where to serve them; 0.0.0.0 lets other machines read them (default: %(default)s)",
    )


def metrics_flags(arguments: Namespace) -> list[str]:
    """The flags for Beam, which gives them to its workers; none if `--metrics_port` is not given.

    Raises:
        UsageError: the port is not one.
    """
    port = arguments.metrics_port
    if port is None:
        return []
    if not 0 <= port <= 65_535:
        raise UsageError(f"--metrics_port={port}: 0 to 65535 is expected")
    return [f"--metrics_port={port}", f"--metrics_host={arguments.metrics_host}"]
