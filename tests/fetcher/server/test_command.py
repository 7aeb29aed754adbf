"""`chronon-beam serve` as a process: what is new, a store that is lost, many clients, the end."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE
from threading import Thread

import httpx
import pytest
from asking import PATH, asking, results, until
from served_process import WAIT_S, ServedProcess, served
from sockets import answered, connected, head
from stores import ANN, AT_MS, DAY_MS, MERGED, plan, put_batch, put_tiles

from chronon_beam.io.kv_store import KVStore, open_store
from chronon_beam.pipeline.serving import allow_files


@pytest.fixture(scope="module", name="path")
def _path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served") / "features.db"


@pytest.fixture(scope="module", name="store")
def _store(path: Path) -> Iterator[KVStore]:
    store = open_store(f"sqlite:{path}")
    store.create("CHRONON_METADATA")
    put_tiles(store, plan("t.both"), ANN)
    put_batch(store, plan("t.both"), ANN)
    yield store
    store.close()


@pytest.fixture(scope="module", name="server")
def _server(path: Path, store: KVStore) -> Iterator[ServedProcess]:
    with served(f"sqlite:{path}", "--refresh_s=0.1") as server:
        yield server


def test_new_group_bys_and_new_batch_values_are_taken_up(
    server: ServedProcess, store: KVStore
) -> None:
    client = server.client
    until(lambda: client.get("/readyz").status_code == 200)
    new = f"/v1/features/groupby/t.new?at={AT_MS}"
    assert results(client, new) == [{"status": 404}]
    put_tiles(store, plan("t.new"), ANN)
    until(lambda: results(client, new)[0]["status"] == "Success")
    assert results(client, new)[0]["features"] == {"n_sum_1h": 4.0, "n_sum_7d": 4.0}
    put_batch(store, plan("t.new"), ANN)
    until(lambda: results(client, new)[0]["features"] == MERGED)
    status = client.get("/v1/groupby/t.new/status").json()
    day = {"batchEndDate": "1970-01-02", "batchEndTs": DAY_MS}
    assert status == {"groupByName": "t.new", **day}
    assert client.get("/v1/groupbys").json() == {"groupByNames": ["t.both", "t.new"]}


def test_store_that_is_lost_under_load_and_comes_back(server: ServedProcess, path: Path) -> None:
    client, aside = server.client, path.with_name("aside.db")
    until(lambda: client.get("/readyz").status_code == 200)
    with asking(server) as seen:
        until(lambda: "Success True" in seen)
        path.rename(aside)
        until(lambda: client.get("/readyz").status_code == 503)
        until(lambda: "Failure True" in seen)
        assert client.get("/healthz").status_code == 200
        aside.rename(path)
        until(lambda: client.get("/readyz").status_code == 200)
        until(lambda: results(client)[0]["status"] == "Success")
    assert seen == {"Success True", "Failure True"}
    said = "".join(server.said)
    assert "the store cannot be read" in said
    assert "the store can be read again" in said


def test_two_thousand_connections(server: ServedProcess) -> None:
    allow_files(2_000)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft > 2_000
    body = json.dumps([ANN]).encode()
    request = head(PATH, len(body)) + body
    with ExitStack() as held:
        connections = [held.enter_context(connected(server.client)) for _ in range(2_000)]
        for _ in range(2):
            for connection in connections:
                connection.sendall(request)
            statuses = [answered(connection)[0] for connection in connections]
            assert statuses == [200] * 2_000
    until(lambda: open_files(server) < 100)


def open_files(server: ServedProcess) -> int:
    """How many files and connections the server has open; 0 where the system does not tell."""
    folder = Path(f"/proc/{server.process.pid}/fd")
    return len(os.listdir(folder)) if folder.is_dir() else 0


def test_request_that_is_under_way_is_answered_before_the_server_stops(
    path: Path, store: KVStore
) -> None:
    body = json.dumps([ANN]).encode()
    with served(f"sqlite:{path}") as server, connected(server.client) as connection:
        until(lambda: server.client.get("/readyz").status_code == 200)
        connection.sendall(head(PATH, len(body), "expect: 100-continue"))
        assert connection.recv(100).startswith(b"HTTP/1.1 100")  # it is reading the body
        stopped = Thread(target=server.stop)
        stopped.start()
        until(lambda: refuses(server.client))
        connection.sendall(body)
        status, answer = answered(connection)
        assert status == 200
        assert len(json.loads(answer)["results"]) == 1
        stopped.join()
        assert server.process.returncode == 0


def refuses(client: httpx.Client) -> bool:
    """Whether a server accepts no connection any more."""
    with socket.socket() as connection:
        return connection.connect_ex((client.base_url.host, client.base_url.port or 80)) != 0


def test_two_workers_tell_the_metrics_of_both_and_one_that_dies_is_replaced(
    path: Path, store: KVStore, tmp_path: Path
) -> None:
    variables = {"CHRONON_BEAM_TOKEN": "t", "TMPDIR": str(tmp_path)}
    with served(f"sqlite:{path}", "--workers=2", **variables) as server:
        client, token = server.client, {"authorization": "Bearer t"}
        until(lambda: client.get("/readyz").status_code == 200)
        assert client.post(PATH, json=[ANN]).status_code == 401
        assert [asked_anew(server, token) for _ in range(40)] == [200] * 40
        told = client.get("/metrics", headers=token).text
        rows = 'chronon_server_rows_total{kind="groupby",name="t.both",outcome="found"} 40.0'
        assert rows in told
        until(lambda: len(workers(tmp_path)) == 2)
        os.kill(min(workers(tmp_path)), signal.SIGKILL)
        until(lambda: len(workers(tmp_path)) == 3)
        assert asked_anew(server, token) == 200
        assert server.stop() == 0


def asked_anew(server: ServedProcess, token: dict[str, str]) -> int:
    """The status of a request over a connection of its own: any of the workers may answer."""
    with httpx.Client(base_url=server.client.base_url, timeout=WAIT_S, headers=token) as own:
        return own.post(PATH, json=[ANN]).status_code


def workers(temporary: Path) -> set[int]:
    """The ids of the workers that there have been: each keeps its metrics in files of its own."""
    return {int(each.stem.rpartition("_")[2]) for each in temporary.glob("*/counter_*.db")}


def test_workers_that_cannot_start_end_the_command_with_their_reason(tmp_path: Path) -> None:
    store = f"--store=sqlite:{tmp_path}/missing/features.db"
    command = ["-m", "chronon_beam.pipeline", "serve", store, "--port=0", "--workers=2"]
    ended = subprocess.run([sys.executable, *command], text=True, stderr=PIPE, timeout=WAIT_S)
    assert ended.returncode == 1
    assert f"there is no folder {tmp_path}/missing: make it first" in ended.stderr


def test_workers_that_die_as_they_start_are_not_started_for_ever() -> None:
    # A factory that ends the process without a word, as a lack of memory does.
    code = (
        "import os; from functools import partial; from uvicorn import Config; "
        "from chronon_beam.pipeline.server_workers import serve_in_several; "
        "serve_in_several(partial(os._exit, 9), partial(Config, factory=True, workers=1), [])"
    )
    ended = subprocess.run([sys.executable, "-c", code], text=True, stderr=PIPE, timeout=WAIT_S)
    assert ended.returncode == 1
    assert "workers die before they are ready, the last one with exit code 9" in ended.stderr


def test_wrong_use_is_said(capsys: pytest.CaptureFixture[str], path: Path, store: KVStore) -> None:
    from chronon_beam.pipeline import cli

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert cli.main(["serve", f"--store=sqlite:{path}", f"--port={port}"]) == 1
        assert f"--port={port}: " in capsys.readouterr().err
    assert cli.main(["serve", f"--store=sqlite:{path}", "--refresh_s=0"]) == 2
    assert "must be more than 0" in capsys.readouterr().err
    assert cli.main(["serve", f"--store=sqlite:{path}", "--group_by=nowhere.py"]) == 2
    assert "nowhere.py" in capsys.readouterr().err
