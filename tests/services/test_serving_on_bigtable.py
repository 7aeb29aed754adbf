"""The feature server over Bigtable: a store that is lost under load, and comes back."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import grpc
import pytest
from asking import asking, results, until
from bigtable_emulator import BigtableEmulator
from bigtable_proxy import BigtableProxy
from served_process import ServedProcess, served
from stores import ANN, plan, put_batch, put_tiles

from chronon_beam.io.kv_store import open_store

URI = "bigtable://test-project/serving?max_age=none"


@pytest.fixture(name="proxy")
def _proxy(bigtable_emulator: BigtableEmulator) -> Iterator[BigtableProxy]:
    proxy = BigtableProxy(bigtable_emulator.host)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture(name="server")
def _server(bigtable: str, proxy: BigtableProxy) -> Iterator[ServedProcess]:
    with closing(open_store(URI)) as store:
        store.create("CHRONON_METADATA")
        put_tiles(store, plan("t.both"), ANN)
        put_batch(store, plan("t.both"), ANN)
    flags = ("--refresh_s=0.1", "--timeout_s=300")
    with served(f"{URI}&read_wait=1s", *flags, BIGTABLE_EMULATOR_HOST=proxy.host) as server:
        yield server


def refused(_: Any, context: Any) -> None:
    context.abort(grpc.StatusCode.UNAVAILABLE, "injected")


def test_store_that_is_lost_under_load_and_comes_back(
    server: ServedProcess, proxy: BigtableProxy, bigtable_emulator: BigtableEmulator
) -> None:
    client = server.client
    with asking(server) as seen:
        until(lambda: "Success True" in seen)
        proxy.read_fault = refused
        proxy.cut()
        until(lambda: client.get("/readyz").status_code == 503)
        [failure] = results(client)
        assert failure["status"] == "Failure"
        assert "the store could not be read: " in str(failure["error"])
        proxy.read_fault = lambda request, context: None
        until(lambda: client.get("/readyz").status_code == 200)
        until(lambda: results(client)[0]["status"] == "Success")
        with bigtable_emulator.halted():
            until(lambda: results(client)[0]["status"] == "Failure")
        until(lambda: results(client)[0]["status"] == "Success")
    # A row has its whole answer or has failed; no request was refused.
    assert seen == {"Success True", "Failure True"}
    assert server.stop() == 0
