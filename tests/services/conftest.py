"""Services that tests talk to: one of each per test session, on free ports."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from bigtable_emulator import BigtableEmulator
from flink_cluster import FlinkCluster
from kafka_broker import KafkaBroker
from pubsub_server import PubsubEmulator, PubsubServer, ServedPubsub, emulator_jar
from schema_registry import SchemaRegistry

from chronon_beam.pipeline.runners import maven
from chronon_beam.pipeline.runners.flink_jar import job_server_jar
from chronon_beam.transforms.spark.cache_directory import cache_directory

_FLINK_WEB = Path(__file__).with_name("flink_web.lock")


@pytest.fixture(scope="session")
def bigtable_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigtableEmulator]:
    emulator = BigtableEmulator(tmp_path_factory.mktemp("bigtable"))
    yield emulator
    emulator.stop()


@pytest.fixture
def bigtable(bigtable_emulator: BigtableEmulator, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of an instance in the emulator."""
    monkeypatch.setenv("BIGTABLE_EMULATOR_HOST", bigtable_emulator.host)
    return "bigtable://test-project/test-instance"


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    broker = KafkaBroker(tmp_path_factory.mktemp("kafka"))
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def schema_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SchemaRegistry]:
    registry = SchemaRegistry(tmp_path_factory.mktemp("registry"))
    yield registry
    registry.stop()


PUBSUB_SERVERS = ["served", *(["emulator"] if emulator_jar() else [])]


@pytest.fixture(scope="session", params=PUBSUB_SERVERS)
def pubsub_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PubsubServer]:
    jar = emulator_jar() if request.param == "emulator" else None
    folder = tmp_path_factory.mktemp("pubsub")
    server = PubsubEmulator(jar, folder) if jar else ServedPubsub()
    yield server
    server.stop()


@pytest.fixture
def pubsub(pubsub_server: PubsubServer, monkeypatch: pytest.MonkeyPatch) -> PubsubServer:
    """A server that Google's clients find."""
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub_server.host)
    return pubsub_server


@pytest.fixture(scope="session")
def flink_cluster(
    bigtable_emulator: BigtableEmulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FlinkCluster]:
    jar, _ = job_server_jar(None)
    (web,) = maven.fetch(maven.read_lock(_FLINK_WEB), cache_directory() / "jars")
    # Spark in a worker lives for seconds here: the compiler of the fastest code does not pay.
    environment = {
        "BIGTABLE_EMULATOR_HOST": bigtable_emulator.host,
        "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1",
    }
    cluster = FlinkCluster(f"{jar}:{web}", tmp_path_factory.mktemp("flink"), environment)
    yield cluster
    cluster.stop()


@pytest.fixture
def modules_on_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers in processes of their own import the modules beside these tests."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
