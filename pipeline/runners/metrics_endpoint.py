"""Serves what a process measures to Prometheus: over HTTP, at `/metrics` of a port.

With `--metrics_port`, the launcher of a job and each worker process have an endpoint of their own.
Several processes of one machine get the same port number: each takes the first free port from there
on, and prints or logs which. The options are pipeline options, so a launch of a template may give
others than the template was built with.
"""

from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from wsgiref.simple_server import WSGIServer

from apache_beam.options.pipeline_options import PipelineOptions
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from chronon_beam.io.metrics import measured
from chronon_beam.pipeline.exposition import MeasuredCollector

PORTS = 100
"""How many ports are tried, from the one that is given on."""

_LOOPBACK = "127.0.0.1"


class MetricsOptions(PipelineOptions):
    """The options of the endpoint, for Beam, which gives them to the workers."""

    @classmethod
    def _add_argparse_args(cls, parser: ArgumentParser) -> None:
        parser.add_argument("--metrics_port", type=int)
        parser.add_argument("--metrics_host")


@dataclass(frozen=True)
class Served:
    """An endpoint that is served by a thread of this process.

    Attributes:
        url: of the metrics.
    """

    url: str
    server: WSGIServer

    def __enter__(self) -> "Served":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.server.shutdown()
        self.server.server_close()


@dataclass(frozen=True)
class Endpoint:
    """Where a process is to serve its metrics.

    Attributes:
        host: the address to listen at.
        port: the first port to try; 0 takes any that is free.
    """

    host: str
    port: int

    def start(self) -> Served:
        """Serve until the result is closed, or the process ends.

        Raises:
            OSError: the address is not one of this machine's, or all of the ports are taken.
        """
        ports = range(self.port, min(self.port + PORTS, 65_536)) if self.port else (0,)
        registry, failure = _registry(), ""
        for port in ports:
            try:
                server, _ = start_http_server(port, self.host, registry)
            except OSError as error:
                failure = str(error)
            else:
                return Served(f"http://{self.host}:{server.server_port}/metrics", server)
        raise OSError(
            f"--metrics_port={self.port}: cannot serve at {self.host}:{ports[0]} to "
            f"{ports[-1]}: {failure}; give another --metrics_port or --metrics_host"
        )


def _registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(MeasuredCollector(measured))
    return registry


def endpoint_of(options: Mapping[str, Any]) -> Endpoint | None:
    """The endpoint that a pipeline's options ask for; None if they ask for none."""
    port = options.get("metrics_port")
    return None if port is None else Endpoint(options.get("metrics_host") or _LOOPBACK, int(port))
