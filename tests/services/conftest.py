"""Services that tests talk to: one of each a test session, on free ports."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from bigtable_emulator import BigtableEmulator
from flink_cluster import FlinkCluster
from kafka_broker import KafkaBroker
from schema_registry import SchemaRegistry

from chronon_beam.pipeline.runners.flink_jar import job_server_jar


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


@pytest.fixture(scope="session")
def flink_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkCluster]:
    jar, _ = job_server_jar(None)
    cluster = FlinkCluster(jar, tmp_path_factory.mktemp("flink"))
    yield cluster
    cluster.stop()


@pytest.fixture
def modules_on_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers in processes of their own import the modules beside these tests."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
