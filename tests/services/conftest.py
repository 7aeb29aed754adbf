"""Services that tests talk to: one of each a test session, on free ports."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chronon_beam.pipeline.flink_jar import job_server_jar

sys.path.append(str(Path(__file__).parent))

from flink_cluster import FlinkCluster  # noqa: E402


@pytest.fixture(scope="session")
def flink_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkCluster]:
    jar, _ = job_server_jar(None)
    cluster = FlinkCluster(jar, tmp_path_factory.mktemp("flink"))
    yield cluster
    cluster.stop()
