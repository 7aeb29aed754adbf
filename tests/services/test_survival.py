"""What Flink does to a running job: it breaks bundles, takes checkpoints, restarts from them.

`test_kafka_on_cluster` has what dies on a cluster.

State is exact each time; writes may be repeated. The jobs are the product's, on a source that
never ends; what is stored must become what a plain fold over the events gives, and stay it.
"""

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult
from drawing import alike
from live import Break, Live
from out_of_order import AFTER_ALL_MS, AT_MS, KEYS, Log, drawn, job_of, without_ties
from replay import save
from waiting import eventually

from chronon_beam.fetcher.fetch import Fetcher
from chronon_beam.io.dead_letters.sinks import open_dead_letters
from chronon_beam.io.kv_store import open_store
from chronon_beam.pipeline.job import Job, build
from chronon_beam.pipeline.runners.choose import Chosen, runner_of

FLAGS = ["--checkpointing_interval=1000", "--max_bundle_time_mills=100"]


class Running:
    """A job over a log of its own, laid out and started."""

    def __init__(self, chosen: Chosen, folder: Path, log: Log, breaks: Iterable[int] = ()) -> None:
        folder.mkdir(exist_ok=True)
        save(folder / "messages", log.batches)
        self._log = log
        self._breaks = set(breaks)
        self._passed = folder / "passed"
        self.job: Job = job_of(f"sqlite:{folder}/features.db")
        root = beam.Pipeline(runner=chosen.runner, options=PipelineOptions(chosen.flags))
        written = build(
            root,
            self.job,
            Live(folder / "messages", AFTER_ALL_MS),
            open_dead_letters(f"file:{folder}/dead.jsonl"),
        )
        # Fused with the tiles: when it breaks, they are written and their state is thrown away.
        _ = written | beam.ParDo(Break(self._passed, self._breaks))
        self.result: PipelineResult = root.run()

    def features(self) -> list[dict[str, Any]]:
        """What the store holds."""
        store = open_store(self.job.store_uri)
        try:
            found = Fetcher(self.job.plan, store).fetch(KEYS, AT_MS)
        except FileNotFoundError:
            return []
        finally:
            store.close()
        return [without_ties(features) for features in found]

    def passed(self) -> int:
        """How many writes there were, repeated ones as well."""
        return self._passed.stat().st_size if self._passed.exists() else 0

    def is_right(self) -> bool:
        """Whether all breaks are behind it, and the store holds what the fold gives."""
        return self.passed() >= max(self._breaks, default=0) and alike(
            self.features(), self._log.expected
        )


def test_two_jobs_in_one_process_survive_broken_bundles_and_checkpoints(
    tmp_path: Path, chance: random.Random
) -> None:
    with runner_of("FlinkRunner", False, FLAGS, live=True) as chosen:
        jobs = [
            Running(
                chosen,
                tmp_path / str(seed),
                drawn(4_800, seed, batch=120),
                chance.sample(range(5, 80), 3),
            )
            for seed in (1, 2)
        ]
        try:
            for running in jobs:
                assert eventually(running.is_right), (running.passed(), running.features())
        finally:
            for running in jobs:
                running.result.cancel()
    for running in jobs:
        assert running.is_right()
