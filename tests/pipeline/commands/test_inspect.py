"""`chronon-beam inspect`: the command serves the page of a store until it is stopped."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape

import httpx
from command_line import ICE_CREAM, Cli, Flag

_COMMAND = (sys.executable, "-m", "chronon_beam.pipeline")


@contextmanager
def running(*words: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address that a command tells, and its process."""
    with subprocess.Popen([*_COMMAND, *words], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            found = (re.search(r"(http://\S+)", line) for line in process.stderr)
            yield next(address[1] for address in found if address), process
        finally:
            process.kill()


def test_page_of_a_store_needs_no_file(example: Flag) -> None:
    with running("inspect", example(), "--port=0") as (address, process):
        first = httpx.get(address, timeout=300).text
        links = re.findall(r'<a href="([^"]+)">customer_id = (Alice|Bob)</a>', first)
        assert {name for _, name in links} == {"Alice", "Bob"}
        (link,) = (unescape(link) for link, name in links if name == "Alice")
        asked = f"{link}&at=300000&feature=flavor_last_6h"
        shown = httpx.get(address + asked, timeout=300)
        assert '<p class="answer">&#34;olive oil&#34;</p>' in shown.text
        # A page of another site, whose name leads to this machine, is told nothing.
        other = httpx.get(address + asked, headers={"Host": "evil.example"}, timeout=300)
        assert other.status_code == 400
        process.send_signal(signal.SIGINT)
        assert process.wait(300) == 0


def test_server_of_features_has_the_page_beside_them(example: Flag) -> None:
    flags = (example(), "--inspect", "--port=0", "--no_access_log")
    with running("serve", *flags) as (address, process):
        page = httpx.get(f"{address}/inspect", follow_redirects=True, timeout=300)
        assert page.url.path == "/inspect/"
        assert "customer_id = Alice" in page.text
        css = httpx.get(f"{address}/inspect/assets/inspect.css", timeout=300)
        assert css.headers["content-type"].startswith("text/css")
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == 0


def test_page_of_a_file_and_of_a_store_that_is_not_there(store: str) -> None:
    with running("inspect", store, ICE_CREAM, "--port=0") as (address, process):
        assert httpx.get(address, timeout=300).status_code == 503
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == 0


def test_port_that_is_taken_is_said(chronon_beam: Cli, store: str) -> None:
    with running("inspect", store, "--port=0") as (address, _):
        port = address.rstrip("/").rpartition(":")[2]
        refused = chronon_beam("inspect", store, f"--port={port}")
        assert refused.code == 1
        assert f"--port={port}: Address already in use" in refused.err
        assert "choose another port" in refused.err
