"""The page over a real socket, and one browser for all tests."""

import threading
from collections.abc import Iterator

import pytest
import uvicorn
from browser import FLAGS, chromium
from playwright.sync_api import Browser, sync_playwright
from shop import Shelf
from starlette.applications import Starlette

from chronon_beam.fetcher.inspector.routes import mounted_routes
from chronon_beam.io.kv_store import open_store
from chronon_beam.pipeline.serving import listen


@pytest.fixture(scope="session")
def shelf() -> Shelf:
    return Shelf(open_store("memory:inspected shop"))


@pytest.fixture(scope="session")
def address(shelf: Shelf) -> Iterator[str]:
    """Where the page is, mounted as the feature server mounts it."""
    app = Starlette(routes=mounted_routes(shelf, lambda fetcher: (), "memory:shop"))
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/inspect/"
    server.should_exit = True
    thread.join(60)
    listening.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Stopped after the module: while Playwright runs, no other test can start an event loop."""
    path = chromium()
    with sync_playwright() as started:
        opened = started.chromium.launch(
            executable_path=path, args=list(FLAGS), timeout=300_000, headless=True
        )
        yield opened
        opened.close()
