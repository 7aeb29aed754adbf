"""What dies while a job runs on a cluster, and how one knows that the job has got over it."""

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from bigtable_emulator import BigtableEmulator
from flink_cluster import FlinkCluster
from kafka_broker import KafkaBroker
from kafka_day import Day
from waiting import eventually

OUTAGE_S = 4.0
"""Longer than a call to the store may take."""

NOTICED_S = 60.0
"""How long a job may take to begin again when a worker of it has died."""

Accident = Callable[[], None]


@dataclass
class Accidents:
    """Each method lets one thing happen to the job and its services.

    Attributes:
        cluster: where the job runs.
        broker: what it reads from.
        emulator: what it writes to.
        day: the events that go on meanwhile.
        chance: draws what is left open.
        job_id: the job on the cluster.
    """

    cluster: FlinkCluster
    broker: KafkaBroker
    emulator: BigtableEmulator
    day: Day
    chance: random.Random
    job_id: str = ""

    def drawn(self) -> list[Accident]:
        """The accidents of a day, in an order that is drawn."""
        both = [self.task_manager, self.worker] * 2
        return self.chance.sample([*both, self.kafka, self.bigtable], 6)

    def task_manager(self) -> None:
        """A TaskManager is killed, and another one started."""
        before = self._restored()
        self.cluster.kill_task_manager()
        self.cluster.start_task_manager()
        assert eventually(lambda: self._restored() > before)

    def worker(self) -> None:
        """A Python worker is killed; another one, if that was of an attempt that has ended."""
        before = self._restored()

        def struck() -> bool:
            with suppress(ProcessLookupError, IndexError):
                os.kill(self.chance.choice(self.cluster.workers()), signal.SIGKILL)
                return eventually(lambda: self._restored() > before, NOTICED_S)
            return False

        assert eventually(struck)

    def kafka(self) -> None:
        """The broker is killed, and started again."""
        self.broker.kill()
        self.broker.start()

    def bigtable(self) -> None:
        """The store answers no call for a while. Killed, it would lose all that it holds."""
        with self.emulator.halted():
            time.sleep(OUTAGE_S)

    def passed(self, events: int) -> None:
        """Wait until so many more events have been produced, or all."""
        until = self.day.sent + events
        assert eventually(lambda: self.day.sent >= until or not self.day.producing)

    def checkpointed(self) -> None:
        """Wait for one more checkpoint: the job runs."""
        before = self._checkpoints("completed")
        assert eventually(lambda: self._checkpoints("completed") > before)

    def _restored(self) -> int:
        return self._checkpoints("restored")

    def _checkpoints(self, kind: str) -> int:
        return self.cluster.checkpoints_of(self.job_id)[kind]
