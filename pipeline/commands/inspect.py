"""`chronon-beam inspect`: the page that says why a feature has its value."""

import sys
from argparse import ArgumentParser, Namespace
from contextlib import closing
from ipaddress import ip_address

from chronon_beam.pipeline import options as flags
from chronon_beam.pipeline.command import DONE, Command, require_packages

_LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]", "::1")

_EXAMPLE = """example:
  chronon-beam inspect --store sqlite:features.db --group_by examples/ice_cream/group_by.py

Serves a page for the browser: choose a GroupBy, an entity and a time, and see the value of every
feature, the tiles and batch values that make it, and how they are merged. Ctrl-C ends it."""


def _add_flags(parser: ArgumentParser) -> None:
    flags.add_store(parser)
    shown = parser.add_argument_group("what is shown")
    shown.add_argument(
        "--group_by",
        action="append",
        default=[],
        metavar="FILE",
        help="a GroupBy to show; repeat it for several (default: all that are in the store)",
    )
    flags.add_dialect(parser)
    server = parser.add_argument_group("the server")
    server.add_argument(
        "--host", default="127.0.0.1", help="the address to listen at (default: this machine only)"
    )
    server.add_argument("--port", type=int, default=8090, help="0 for any (default: %(default)s)")


def _run(arguments: Namespace, _: list[str]) -> int:
    require_packages("serve", "starlette", "uvicorn", "jinja2")
    from chronon_beam.api.load import load_computable
    from chronon_beam.io.kv_store import open_store
    from chronon_beam.pipeline.inspecting import LIMITS, StoreFetchers, inspector_app
    from chronon_beam.pipeline.serving import derivations, listen, serve_here, server_config, url_of

    declared = [load_computable(each, arguments.dialect) for each in arguments.group_by]
    with (
        closing(open_store(arguments.store)) as store,
        listen(arguments.host, arguments.port) as listening,
    ):
        print(f"chronon-beam: look at {url_of(listening)}/", file=sys.stderr, flush=True)
        fetchers = StoreFetchers(store, declared, derivations)
        is_local = ip_address(listening.getsockname()[0]).is_loopback
        app = inspector_app(fetchers, arguments.store, _LOCAL_NAMES if is_local else ("*",))
        serve_here(server_config(app, LIMITS, factory=False), [listening])
    return DONE


COMMAND = Command(
    "a page that says why a feature has its value", _EXAMPLE, _add_flags, _run, short=True
)
