"""Looks at the demo from outside the job: what is in the topic, in the store, and dead."""

import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaException, TopicPartition

from chronon_beam.api.group_by import GroupBy, GroupByError
from chronon_beam.fetcher.fetch import Features, Fetcher
from chronon_beam.fetcher.serving_info import load
from chronon_beam.io.kv_store import KVStore
from chronon_beam.pipeline.demo.freshness import Freshness, Percentiles
from chronon_beam.pipeline.demo.kafka_broker import SILENT
from chronon_beam.pipeline.demo.shop import CUSTOMERS

SHOWN = CUSTOMERS[0]
"""The customer whose features are shown."""

_NEWEST = "ordered_last_1h"
_TIMEOUT_S = 2.0


class Counts(NamedTuple):
    """How far the job has come.

    Attributes:
        logged: records in the topic, as the broker says.
        stored: orders that a fetch sees.
        dead: dead letters.
        fresh: how long orders took to be seen; None as long as nothing is known.
    """

    logged: int
    stored: int
    dead: int
    fresh: Percentiles | None

    @property
    def lag(self) -> int:
        """Records of the topic that are neither in features nor dead letters yet."""
        return max(0, self.logged - self.stored - self.dead)


class TopicLog:
    """How many records a topic has, as its broker says.

    Args:
        bootstrap: the broker.
        topic: a topic.
        partitions: how many it has.
    """

    def __init__(self, bootstrap: str, topic: str, partitions: int) -> None:
        settings = {"bootstrap.servers": bootstrap, "group.id": "watch"}
        self._consumer = Consumer(settings, logger=SILENT)
        self._partitions = [TopicPartition(topic, each) for each in range(partitions)]
        self._records = 0

    def records(self) -> int:
        """The number now; while the broker does not answer, the last one that is known."""
        with suppress(KafkaException):
            asked = self._consumer.get_watermark_offsets
            self._records = sum(asked(each, _TIMEOUT_S)[1] for each in self._partitions)
        return self._records

    def close(self) -> None:
        """Close the client of the broker."""
        self._consumer.close()


class Watch:
    """Fetches the features of all customers, as a server of features would.

    Args:
        store: where the job writes.
        group_by: what it computes.
        log: the topic that it reads.
        dead_letters: the file that it writes them to.
        freshness: notes the orders that are seen.
    """

    def __init__(
        self,
        store: KVStore,
        group_by: GroupBy,
        log: TopicLog,
        dead_letters: Path,
        freshness: Freshness,
    ) -> None:
        self._store, self._group_by = store, group_by
        self._log, self._dead_letters, self._freshness = log, dead_letters, freshness
        self._fetcher: Fetcher | None = None

    def look(self) -> Features | None:
        """The features of `SHOWN` now; None before there are any."""
        if self._fetcher is None:
            with suppress(GroupByError, FileNotFoundError):
                self._fetcher = Fetcher.of(load(self._store, self._group_by), self._store)
        if self._fetcher is None:
            return None
        keys = [{"customer_id": each} for each in CUSTOMERS]
        found = self._fetcher.fetch(keys, int(time.time() * 1000))
        seen_ms = time.time() * 1000
        for customer, features in zip(CUSTOMERS, found, strict=True):
            if isinstance(newest_ms := features[_NEWEST], int):
                self._freshness.see(customer, newest_ms, seen_ms)
        shown = found[CUSTOMERS.index(SHOWN)]
        return None if shown[_NEWEST] is None else shown

    def counts(self) -> Counts:
        """How far the job has come."""
        dead, stored = self._dead(), self._freshness.seen
        return Counts(self._log.records(), stored, dead, self._freshness.percentiles())

    def _dead(self) -> int:
        with suppress(FileNotFoundError):
            return self._dead_letters.read_bytes().count(b"\n")
        return 0
