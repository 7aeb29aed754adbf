"""The client of a schema registry, against a server that fails in the ways that a test chooses."""

import json
import pickle
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from chronon_beam.transforms.schemas import registry
from chronon_beam.transforms.schemas.registry import (
    Registry,
    RegistryDown,
    SchemaRegistry,
    UnknownSchema,
)


class Server:
    """Answers with `answers` in turn, (status, body) each, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict]] = []
        self.asked: list[tuple[str, str | None]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append((self.path, self.headers["Authorization"]))
                status, body = server.answers.pop(0)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}"


FOUND = (200, {"schema": "the schema", "schemaType": "PROTOBUF"})
DOWN = (503, {"error_code": 503, "message": "starting"})
UNKNOWN = (404, {"error_code": 40403, "message": "not there"})
REFUSED = (401, {"error_code": 401, "message": "who are you"})


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.http.shutdown()
    started.http.server_close()


def client(server: Server, wait_s: float = 60.0) -> SchemaRegistry:
    return SchemaRegistry(Registry(server.url), wait_s, pause_s=0.01)


def test_schema_is_asked_for_once(server: Server):
    server.answers = [FOUND]
    asked = client(server)
    assert asked.by_id(7) == asked.by_id(7)
    assert (asked.by_id(7).kind, asked.by_id(7).text) == ("PROTOBUF", "the schema")
    assert [path.partition("?")[0] for path, _ in server.asked] == ["/schemas/ids/7"]


def test_registry_that_starts_is_waited_for_and_said(
    server: Server, caplog: pytest.LogCaptureFixture
):
    server.answers = [DOWN, DOWN, FOUND]
    assert client(server).by_id(7).text == "the schema"
    said = [each.message for each in caplog.records if each.name == registry.__name__]
    assert len(said) == 2  # once, however often it was asked
    assert "does not answer" in said[0]
    assert "answers again" in said[1]


def test_registry_that_stays_away_is_an_error_in_the_end(server: Server):
    server.answers = [DOWN]
    with pytest.raises(RegistryDown, match="has not answered for 0 s.*starting"):
        client(server, wait_s=0.0).by_id(7)


def test_unknown_id_is_asked_for_again_only_after_a_while(server: Server):
    now_s = [0.0]
    server.answers = [UNKNOWN, FOUND]
    asked = SchemaRegistry(Registry(server.url), 60.0, clock=lambda: now_s[0])
    for now_s[0] in (0.0, 1.0, 29.0):
        with pytest.raises(UnknownSchema, match="has no schema 7"):
            asked.by_id(7)
    now_s[0] = 31.0
    assert asked.by_id(7).text == "the schema"


BASIC = "Basic cmVhZGVyOm9wZW5zLXNlc2FtZQ=="


@pytest.mark.parametrize(
    ("variable", "lines", "authorization"),
    [
        ("BASIC_AUTH_USER_INFO", "basic.auth.user.info = reader:opens-sesame", BASIC),
        (
            "BASIC_AUTH_USER_INFO",
            "basic.auth.credentials.source=USER_INFO\nbasic.auth.user.info=reader:opens-sesame",
            BASIC,
        ),
        ("BEARER_AUTH_TOKEN", "bearer.auth.token=opens-sesame", "Bearer opens-sesame"),
    ],
)
def test_accounts_come_from_the_environment_or_a_file(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variable: str,
    lines: str,
    authorization: str,
):
    server.answers = [REFUSED, FOUND, FOUND]
    with pytest.raises(PermissionError, match="into .SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO"):
        client(server).by_id(7)
    settings = tmp_path / "registry.properties"
    settings.write_text(f"# of the reader\n! and nobody else\n{lines}\n")
    asked = Registry(server.url, str(settings))
    asked.connect().by_id(7)
    monkeypatch.setenv(f"SCHEMA_REGISTRY_{variable}", lines.rpartition("=")[2].strip())
    client(server).by_id(7)
    assert [given for _, given in server.asked] == [None, authorization, authorization]
    assert b"sesame" not in pickle.dumps(asked)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("basic.auth.user.info=opens-sesame", "must be in the form"),
        ("basic.auth.usr.info=reader:opens-sesame", "basic.auth.usr.info"),
        ("bearer.auth.token=opens-sesame\nssl.ca.location=/nowhere.pem", "No such file"),
        ("url=http://other", "registry.properties:1: url is set by the job"),
        ("opens-sesame", "registry.properties:1: NAME=VALUE is expected"),
    ],
)
def test_wrong_settings_are_refused_without_secrets(tmp_path: Path, lines: str, said: str):
    settings = tmp_path / "registry.properties"
    settings.write_text(f"{lines}\n")
    with pytest.raises(ValueError, match=said) as refused:
        Registry("http://registry:8081", str(settings)).connect()
    assert "sesame" not in str(refused.value)


def test_certificate_is_checked_by_the_authority_that_is_given(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
    url = server.url.replace("http:", "https:")
    with pytest.raises(PermissionError, match=r"no TLS connection .*ssl\.ca\.location"):
        Registry(url).connect().by_id(7)
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))
    monkeypatch.setenv("SCHEMA_REGISTRY_SSL_CA_LOCATION", str(trusted))
    server.answers = [FOUND]
    assert Registry(url).connect().by_id(7).text == "the schema"


def test_question_that_no_waiting_helps_is_an_error_at_once(server: Server):
    server.answers = [(400, {"error_code": 400, "message": "no such path"})]
    with pytest.raises(PermissionError, match=r"HTTP 400: no such path"):
        client(server).by_id(7)


def test_url_that_is_not_the_root_is_told(server: Server):
    server.answers = [UNKNOWN, UNKNOWN]
    with pytest.raises(UnknownSchema, match="not the root of a schema registry's API"):
        client(server).latest("orders-value")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("registry:8081", "a URL such as http://registry:8081"),
        ("http://reader:secret@registry", "a password in a URL is printed and stored"),
    ],
)
def test_wrong_urls_are_refused_without_telling_the_password(url: str, said: str):
    with pytest.raises(ValueError, match=said) as refused:
        Registry(url)
    assert "secret" not in str(refused.value)


def test_damaged_ids_are_not_remembered_for_ever(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(registry, "_MOST_UNKNOWN", 3)
    server.answers = [UNKNOWN] * 8
    asked = client(server)
    for schema_id in range(1, 9):
        with pytest.raises(UnknownSchema):
            asked.by_id(schema_id)
        assert len(asked._unknown) <= 3
