"""`chronon-beam serve`: the feature server."""

import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from ipaddress import ip_address
from socket import socket
from typing import TYPE_CHECKING

from chronon_beam.pipeline import options as flags
from chronon_beam.pipeline.command import DONE, Command, require_packages
from chronon_beam.pipeline.options import UsageError

if TYPE_CHECKING:
    from chronon_beam.fetcher.server.settings import Settings

TOKEN = "CHRONON_BEAM_TOKEN"
"""The variable that holds the bearer token which callers must send."""

_EXAMPLE = f"""example:
  chronon-beam serve --store sqlite:features.db --group_by examples/ice_cream/group_by.py
  curl http://127.0.0.1:8080/v1/features/groupby/ice_cream.group_by.ice_cream_group_by \\
      -d '[{{"customer_id": "Alice"}}]'

Without --group_by it serves every GroupBy that jobs have written to the store. New GroupBys and new
batch values are served as they come. If {TOKEN} is set, callers must send it as bearer
token. Ctrl-C or SIGTERM stops the server once all requests are answered."""


def _add_flags(parser: ArgumentParser) -> None:
    flags.add_store(parser)
    _add_served(parser)
    flags.add_dialect(parser)
    _add_server_flags(parser)
    _add_memory(parser)
    _add_limits(parser)


def _add_served(parser: ArgumentParser) -> None:
    served = parser.add_argument_group("what is served")
    served.add_argument(
        "--group_by",
        action="append",
        default=[],
        metavar="FILE",
        help="a GroupBy to serve; repeat it for several (default: all that are in the store)",
    )
    served.add_argument(
        "--join",
        action="append",
        default=[],
        metavar="FILE",
        help="a join (Thrift JSON, or a Python file) to serve beside GroupBys; may be repeated",
    )
    served.add_argument(
        "--compat",
        action="store_true",
        help="answer what fails or is unknown as Chronon's services do: see docs/serving.md",
    )
    served.add_argument(
        "--inspect",
        action="store_true",
        help="a page at /inspect/ that shows why a feature has its value (see docs/inspect.md)",
    )


def _add_server_flags(parser: ArgumentParser) -> None:
    server = parser.add_argument_group("the server")
    server.add_argument(
        "--host", default="127.0.0.1", help="the address to listen at (default: this machine only)"
    )
    server.add_argument("--port", type=int, default=8080, help="0 for any (default: %(default)s)")
    server.add_argument(
        "--workers", type=_positive, default=1, metavar="N", help="processes (default: 1)"
    )
    server.add_argument(
        "--refresh_s",
        type=float,
        default=5.0,
        metavar="S",
        help="how often to look for what is new in the store (default: 5)",
    )
    server.add_argument(
        "--no_access_log", action="store_true", help="do not print one JSON line per request"
    )


def _add_memory(parser: ArgumentParser) -> None:
    memory = parser.add_argument_group("what each process keeps in memory")
    memory.add_argument(
        "--batch_cache",
        type=_positive,
        default=10_000,
        metavar="N",
        help="this many batch values (default: %(default)s)",
    )
    memory.add_argument(
        "--merged_tiles_mb",
        type=_not_negative,
        default=64,
        metavar="MB",
        help="so many MB of what tiles have merged to; 0 for nothing (default: 64)",
    )


def _add_limits(parser: ArgumentParser) -> None:
    limits = parser.add_argument_group("limits of one process, beyond which it refuses")
    for name, default, text in (
        ("--max_rows", 1_000, "rows of one request"),
        ("--max_body_bytes", 1 << 20, "bytes of the body of one request"),
        ("--max_in_flight", 256, "fetches at a time"),
        ("--max_connections", 5_000, "connections at a time"),
    ):
        limits.add_argument(
            name,
            type=_positive,
            default=default,
            metavar="N",
            help=f"{text} (default: %(default)s)",
        )
    limits.add_argument(
        "--timeout_s",
        type=float,
        default=5.0,
        metavar="S",
        help="how long a fetch may take (default: 5)",
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def _not_negative(text: str) -> int:
    return 0 if text == "0" else _positive(text)


def _run(arguments: Namespace, _: list[str]) -> int:
    require_packages("serve", "starlette", "uvicorn", "httptools")
    from chronon_beam.api.load import load_computable, load_join
    from chronon_beam.fetcher.joins.external import open_handlers
    from chronon_beam.pipeline.serving import LOCAL, AppFactory, listen, serve

    group_bys = tuple(load_computable(each, arguments.dialect) for each in arguments.group_by)
    joins = tuple(load_join(each, arguments.dialect) for each in arguments.join)
    for join in joins:
        open_handlers(join)  # refuses a join whose package is missing before anything starts
    settings = _settings(arguments, local=arguments.store.startswith(LOCAL))
    listening = listen(arguments.host, arguments.port)
    with listening:
        _tell(listening, settings.token is not None)
        cached, merged_bytes = arguments.batch_cache, arguments.merged_tiles_mb << 20
        factory = AppFactory(
            arguments.store, settings, group_bys, cached, merged_bytes, arguments.inspect, joins
        )
        serve(factory, listening, arguments.workers)
    return DONE


def _settings(arguments: Namespace, local: bool) -> "Settings":
    from chronon_beam.fetcher.server.settings import ServerLimits, Settings

    token = os.environ.get(TOKEN)
    if token is not None and (not token.isascii() or not token.isprintable() or not token.strip()):
        raise UsageError(f"{TOKEN} must be printable ASCII text, and not empty")
    if arguments.refresh_s <= 0 or arguments.timeout_s <= 0:
        raise UsageError("--refresh_s and --timeout_s must be more than 0")
    limits = ServerLimits(
        body_bytes=arguments.max_body_bytes,
        rows=arguments.max_rows,
        fetch_s=arguments.timeout_s,
        in_flight=arguments.max_in_flight,
        connections=arguments.max_connections,
    )
    return Settings(
        compat=arguments.compat,
        local=local,
        refresh_s=arguments.refresh_s,
        token=token,
        access_log=not arguments.no_access_log,
        limits=limits,
    )


def _tell(listening: socket, has_token: bool) -> None:
    from chronon_beam.pipeline.serving import url_of

    print(f"chronon-beam: serving at {url_of(listening)}", file=sys.stderr, flush=True)
    host = listening.getsockname()[0]
    if not has_token and not ip_address(host).is_loopback:
        print(
            f"chronon-beam: whoever reaches {host} can read all features: set {TOKEN} to ask for "
            "a token",
            file=sys.stderr,
        )


COMMAND = Command("serve features over HTTP", _EXAMPLE, _add_flags, _run, short=True)
