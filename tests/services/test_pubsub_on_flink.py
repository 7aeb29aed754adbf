"""The product's job on Flink counts each message once, though many are delivered several times.

Bundles break on purpose: what they gave out is not acknowledged, and the server gives it again.
"""

import time
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult
from live import Break
from pubsub_server import ServedPubsub, Topic
from users import UsersJob
from waiting import eventually

from chronon_beam.io.dead_letters.sinks import open_dead_letters
from chronon_beam.io.live import LiveSettings
from chronon_beam.io.sources import open_source
from chronon_beam.pipeline.job import build
from chronon_beam.pipeline.runners.choose import Chosen, runner_of

PART = 4_000
PARTS = 5
TOTAL = PARTS * PART
BREAKS = {2, 7, 13}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> ServedPubsub:
    made = ServedPubsub()
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", made.host)
    return made


def flags(folder: Path) -> list[str]:
    storage = f"--state_backend_storage_path={(folder / 'checkpoints').as_uri()}"
    return ["--checkpointing_interval=1000", "--state_backend=filesystem", storage]


def started(chosen: Chosen, topic: Topic, users: UsersJob, folder: Path) -> PipelineResult:
    """The job, running, with bundles that break."""
    source = open_source(f"pubsub://shop/topics/{topic.name}")
    source.live = LiveSettings(reader="chronon-t.pubsub")
    source.reach()
    root = beam.Pipeline(runner=chosen.runner, options=PipelineOptions(chosen.flags))
    dead = open_dead_letters(f"file:{folder}/dead.jsonl")
    written = build(root, users.job, source.transform(users.job.columns), dead)
    _ = written | beam.ParDo(Break(folder / "passed", BREAKS))
    return root.run()


def test_every_message_counts_once(server: ServedPubsub, tmp_path: Path) -> None:
    # Events of now, since Pub/Sub's publish times are of now.
    users = UsersJob(f"sqlite:{tmp_path}/features.db", int(time.time() * 1000))
    topic = Topic()
    with runner_of("FlinkRunner", False, flags(tmp_path), live=True) as chosen:
        result = started(chosen, topic, users, tmp_path)
        try:
            for part in range(0, TOTAL, PART):
                topic.publish([users.event(at) for at in range(part, part + PART)])
                assert eventually(lambda part=part: users.counted() >= part)
            assert eventually(lambda: users.features() == users.features_of(TOTAL)), (
                users.counted(),
                server.left(),
            )
            assert (tmp_path / "passed").stat().st_size >= max(BREAKS)
            assert eventually(lambda: server.left() == 0), server.left()
        finally:
            result.cancel()
    assert users.features() == users.features_of(TOTAL)
    assert server.deliveries > TOTAL
    server.stop()
