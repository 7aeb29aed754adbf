"""Processes that tests kill while a job runs on a cluster, and how a test sees its recovery."""

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from bigtable_emulator import BigtableEmulator
from flink_cluster import FlinkCluster
from kafka_broker import KafkaBroker
from kafka_day import Day
from waiting import eventually

LONGEST_OUTAGE_S = float(os.environ.get("CHRONON_BEAM_OUTAGE_S", "10"))
"""Broker and store are away for as long as this at most. Two minutes have been tried by hand."""

SHORTEST_OUTAGE_S = 4.0
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
        twice = [self.task_manager, self.worker] * 2
        once = [self.job_manager, self.spark, self.kafka, self.bigtable]
        return self.chance.sample([*twice, *once], len(twice) + len(once))

    def job_manager(self) -> None:
        """The JobManager is killed; another one, which counts anew, takes the job over."""
        self.cluster.replace_job_manager()
        assert eventually(lambda: self._restored() > 0)

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
            self._wait_for_moment()
            return self._killed_one_of(self.cluster.workers()) and eventually(
                lambda: self._restored() > before, NOTICED_S
            )

        assert eventually(struck)

    def spark(self) -> None:
        """The JVM in which a worker evaluates is killed; the worker notices at its next batch."""
        assert eventually(lambda: self._killed_one_of(self.cluster.spark_jvms()))

    def _killed_one_of(self, processes: Sequence[int]) -> bool:
        """Whether there was one to kill."""
        with suppress(ProcessLookupError, IndexError):
            os.kill(self.chance.choice(processes), signal.SIGKILL)
            return True
        return False

    def _wait_for_moment(self) -> None:
        """Half of the time, wait until a checkpoint is under way: what is killed is late for it."""
        if self.chance.random() < 0.5:
            eventually(lambda: self._checkpoints("in_progress") > 0, NOTICED_S)

    def kafka(self) -> None:
        """The broker is killed, and started again after a while."""
        self.broker.kill()
        time.sleep(self._outage_s())
        self.broker.start()

    def bigtable(self) -> None:
        """The store answers no call for a while. Killed, it would lose all that it holds."""
        with self.emulator.halted():
            time.sleep(self._outage_s())

    def _outage_s(self) -> float:
        return self.chance.uniform(SHORTEST_OUTAGE_S, LONGEST_OUTAGE_S)

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
