"""What a command says when it ends while its job on a Flink cluster goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from apache_beam.runners.runner import PipelineRunner

from chronon_beam.pipeline import run
from chronon_beam.pipeline.run import JobFailed, carry_out
from chronon_beam.pipeline.runners.choose import Chosen

CLUSTER = "jobmanager:8081"


def unavailable() -> grpc.RpcError:
    """What gRPC raises when nobody listens: port 1 is nobody's."""
    with grpc.insecure_channel("localhost:1") as channel, pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary("/job/state")(b"", timeout=60)
    return raised.value


class Raising(PipelineRunner):
    def __init__(self, error: BaseException) -> None:
        self._error = error

    def run_pipeline(self, *_: Any) -> Any:
        raise self._error


def carried_out(error: BaseException, cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def chosen(*_: Any, **__: Any) -> Iterator[Chosen]:
        yield Chosen(Raising(error), [], cluster=cluster)

    monkeypatch.setattr(run, "runner_of", chosen)
    carry_out(lambda root: None, [("t.g",)], "FlinkRunner", [])


def test_killed_job_server_is_not_the_end_of_a_job_on_a_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(JobFailed, match=f"has ended: the job goes on .*={CLUSTER} shows it"):
        carried_out(unavailable(), CLUSTER, monkeypatch)
    with pytest.raises(JobFailed, match="has ended: all of Flink ran in it"):
        carried_out(unavailable(), "", monkeypatch)


def test_ctrl_c_tells_that_a_job_on_a_cluster_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        carried_out(KeyboardInterrupt(), CLUSTER, monkeypatch)
    told = capsys.readouterr().err
    assert told.startswith("the job goes on on the Flink cluster: chronon-beam jobs list")
    assert CLUSTER in told
    with pytest.raises(KeyboardInterrupt):
        carried_out(KeyboardInterrupt(), "", monkeypatch)
    assert not capsys.readouterr().err


def test_job_that_the_cluster_has_forgotten_is_distinguished_from_one_that_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = RuntimeError("java.util.concurrent.ExecutionException: FlinkJobNotFoundException: x")
    with pytest.raises(JobFailed, match=rf"cluster {CLUSTER} does not know the job .*--savepoint"):
        carried_out(error, CLUSTER, monkeypatch)
