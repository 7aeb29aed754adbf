"""Services that tests talk to: one of each a test session, on free ports."""

from collections.abc import Iterator

import pytest
from flink_cluster import FlinkCluster

from chronon_beam.pipeline.flink_jar import job_server_jar


@pytest.fixture(scope="session")
def flink_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkCluster]:
    jar, _ = job_server_jar(None)
    cluster = FlinkCluster(jar, tmp_path_factory.mktemp("flink"))
    yield cluster
    cluster.stop()
