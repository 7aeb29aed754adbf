"""Reads partitions within a bundle: polls, looks for new partitions, and makes promises."""

import logging
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, cast

import numpy as np
import pyarrow as pa
from confluent_kafka import Message

from chronon_beam.api.counts import Metric
from chronon_beam.api.evaluation import Evaluation
from chronon_beam.api.records import MIN_MS, Envelopes, Messages
from chronon_beam.io.batches import ROWS, cuts
from chronon_beam.io.kafka.attributes import attributes_of, envelope_of
from chronon_beam.io.kafka.changes import Change, Readers, changes_of, new_or_anew, out_of_range
from chronon_beam.io.kafka.cluster import Cluster, Unreachable
from chronon_beam.io.kafka.log_reader import LogReader, Polled
from chronon_beam.io.kafka.options import KafkaOptions
from chronon_beam.io.kafka.progress import Place, Progress, Vector
from chronon_beam.io.kafka.promises import Limits, LogPart, promises, watermark_ms
from chronon_beam.io.kafka.timed_messages import letter_outputs, timed_rows
from chronon_beam.io.live import LiveSettings

_log = logging.getLogger(__name__)

_ASK_S = 2.0
"""How long brokers may take to answer while the job runs."""

_ASK_AGAIN_S = 1.0
_FORGET_S = 600.0
_NO_PARTITION_PAUSE_S = 5


class Step(NamedTuple):
    """A part of a partition's log that was read.

    Attributes:
        progress: how far the partition is read now; must be claimed from the tracker before
            `outputs` are yielded.
        outputs: Messages, or what the job has made of them.
        counts: the metrics `tombstones` and `lost`.
        ahead: the metric `ahead` of each GroupBy that shares the reading.
    """

    progress: Progress
    outputs: Iterable[Any] = ()
    counts: Mapping[str, int] = {}
    ahead: Sequence[int] = ()


class Session:
    """A reader's connections to the brokers, kept from bundle to bundle.

    Args:
        options: what is read.
        live: the job's settings of time and latency.
        group: the consumer group to which offsets are committed.
        reader: which of the source's readers it is.
        columns: the columns that the job reads; other attributes of records are not made.
        number: how many GroupBys share the reading.
    """

    def __init__(
        self,
        options: KafkaOptions,
        live: LiveSettings,
        group: str,
        reader: Readers,
        columns: pa.Schema,
        number: int = 1,
    ) -> None:
        self._bounded = options.bounded
        self._discover_s = options.discover_ms / 1000
        self._live = live
        self._reader = reader
        self._columns = columns
        self._number = number
        self._consumer = LogReader(options, group)
        self._cluster = Cluster(options, _ASK_S)
        self._partitions: dict[Place, Progress] = {}
        self._evaluate: Evaluation | None = None
        self._has_read = False
        self._unreadable: set[Place] = set()
        self._missing: set[Place] = set()
        self._asked_at = float("-inf")
        self._commits_at: float | None = None

    def read(
        self,
        vector: Vector,
        floor_ms: int,
        wait_s: float,
        within_s: float,
        evaluate: Evaluation | None = None,
    ) -> Iterator[Step]:
        """Read the partitions on, in steps that the caller claims one by one.

        Reading goes on until `within_s` have passed, or all is read. If the source never ends, a
        poll that finds no backlog also ends it.

        Args:
            vector: where the partitions stand.
            floor_ms: the watermark that the runner has been given.
            wait_s: how long to wait for a first record.
            within_s: the most seconds to read.
            evaluate: makes rows of Messages, and promises follow from the rows' times; if None,
                steps have Messages, and promises follow from the records' own times.
        """
        self._evaluate = evaluate
        self._has_read = False
        deadline = time.monotonic() + within_s
        self._partitions = {each.place: each for each in vector.partitions}
        if self._unreadable or self._has_to_discover():
            yield from self._ask_brokers()
        self._consumer.follow(self._partitions.values())
        polled = self._consumer.poll(ROWS, wait_s, self._live.linger_ms / 1000)
        while True:
            self._has_read |= bool(polled.records)
            yield from self._steps(polled, floor_ms)
            self._consumer.follow(self._partitions.values())
            if self._ends(polled) or time.monotonic() > deadline:
                return
            polled = self._consumer.more(ROWS, wait_s if self._bounded else 0.0)

    def watermark_ms(self) -> int:
        """The watermark of the reader: of all partitions, and for the slowest GroupBy."""
        return min(map(self._watermark_of, range(self._number)))

    def _watermark_of(self, sharer: int) -> int:
        idle = {*self._consumer.idle(self._live.idle_ms / 1000, sharer), *self._missing}
        active = [each for place, each in self._partitions.items() if place not in idle]
        newest_ms = [each.times_ms(self._number)[sharer] for each in active]
        return watermark_ms(newest_ms, self._live.disorder_ms, _now_ms())

    def lags(self, watermark_ms: int) -> Iterator[tuple[Metric, int]]:
        """The gauges of how far reading is behind, after `read`; without those not known yet.

        Args:
            watermark_ms: of the reader.
        """
        yield Metric.READ_LAG, self._consumer.behind()
        if watermark_ms > MIN_MS:
            yield Metric.WATERMARK_LAG, max(_now_ms() - watermark_ms, 0)

    def event_time_lags(self) -> Iterator[tuple[int, int]]:
        """How old the newest event is, by the index of the GroupBy; after `read` has read some."""
        if not self._has_read:
            return
        times = [each.times_ms(self._number) for each in self._partitions.values()]
        for sharer, newest_ms in enumerate(map(max, zip(*times, strict=True))):
            if newest_ms > MIN_MS:
                yield sharer, max(_now_ms() - newest_ms, 0)

    def pause_s(self) -> int:
        """Whole seconds until the next bundle: longer for a reader without partitions."""
        return 0 if self._partitions else _NO_PARTITION_PAUSE_S

    def commit_when_final(self, vector: Vector, finalizer: Any) -> None:
        """Commit offsets to the consumer group, once the runner has made this bundle final.

        One bundle at a time waits to be final, since Beam's worker cannot use its steps until then.
        """
        if self._commits_at is not None and time.monotonic() < self._commits_at + _FORGET_S:
            return
        self._commits_at = time.monotonic()

        def commit() -> None:
            self._consumer.commit(vector.partitions)
            self._commits_at = None

        finalizer.register(commit)

    def close(self) -> None:
        """Close all connections."""
        self._consumer.close()

    def _ends(self, polled: Polled) -> bool:
        if self._bounded:
            return all(each.done for each in self._partitions.values())
        return sum(map(len, polled.records.values())) < ROWS // 2

    def _steps(self, polled: Polled, floor_ms: int) -> Iterator[Step]:
        for place, records in polled.records.items():
            if place in self._partitions:
                yield self._record(self._step(self._partitions[place], records, floor_ms))
        for place, end in polled.ends.items():
            known = self._partitions.get(place)
            # Between the last record and the end are offsets of transaction markers.
            if known is not None and end > known.next_offset:
                yield self._record(Step(known._replace(next_offset=end)))
        self._unreadable |= polled.out_of_range  # the client names each of them once
        self._note_missing(self._missing | polled.missing)
        if self._unreadable or polled.missing:
            yield from self._ask_brokers()

    def _has_to_discover(self) -> bool:
        return not self._bounded and time.monotonic() - self._asked_at > self._discover_s

    def _note_missing(self, missing: set[Place]) -> None:
        """Log which partitions the brokers no longer have, each once."""
        if more := missing - self._missing:
            listed = ", ".join(sorted(map(str, more)))
            _log.warning("Kafka has no partition %s any more: waiting for it", listed)
        self._missing = missing

    def _step(self, before: Progress, records: list[Message], floor_ms: int) -> Step:
        offsets = _offsets(records)
        if offsets[-1] >= before.stop:
            offsets = offsets[: bisect_left(offsets, before.stop)]
            records = records[: len(offsets)]
        if not records:
            return Step(before._replace(next_offset=before.stop))
        progress = before._replace(next_offset=offsets[-1] + 1)
        messages = list(self._messages(str(before.place), records, offsets))
        with_value = sum(len(each.positions) for each in messages)
        step = Step(progress, messages, {Metric.TOMBSTONES: len(records) - with_value})
        if self._bounded:
            return step
        return self._with_promises(step, messages, _part(records, offsets), floor_ms)

    def _with_promises(
        self, step: Step, messages: list[Messages], part: LogPart, floor_ms: int
    ) -> Step:
        """The step with its promises, and with outputs that have them."""
        progress = step.progress
        rows = [timed_rows(each, part, self._evaluate) for each in messages]
        limits = Limits(floor_ms, self._live.disorder_ms, _now_ms())
        made = [
            promises(part, [each[sharer] for each in rows], newest_ms, limits)
            for sharer, newest_ms in enumerate(progress.times_ms(self._number))
        ]
        for sharer in (sharer for sharer, each in enumerate(made) if each.counted):
            self._consumer.note_counted(progress.place, sharer)
        outputs = chain.from_iterable(
            found.outputs(pa.array(mine.before_ms[part.indices(found.positions)]))
            for each in rows
            for found, mine in zip(each, made, strict=True)
        )
        newest_ms, *others_ms = (each.newest_ms for each in made)
        progress = progress._replace(newest_ms=newest_ms, others_ms=tuple(others_ms))
        return step._replace(
            progress=progress, outputs=outputs, ahead=[each.ahead for each in made]
        )

    def _messages(
        self, source: str, records: list[Message], offsets: list[int]
    ) -> Iterator[Messages]:
        """The records that have a value, in batches of at most `BYTES`."""
        values = list(map(Message.value, records))
        payloads = [value for value in values if value is not None]
        if len(payloads) < len(values):
            records = [each for each in records if each.value() is not None]
            offsets = _offsets(records)
        for start, stop in cuts(list(map(len, payloads))):
            part = records[start:stop]
            yield Messages(
                source,
                offsets[start:stop],
                payloads[start:stop],
                attributes=attributes_of(part, self._columns),
                envelopes=Envelopes(part, envelope_of),
            )

    def _ask_brokers(self) -> Iterator[Step]:
        """Ask the brokers for partitions that are new, made anew, gone, or have lost records."""
        if time.monotonic() - self._asked_at < _ASK_AGAIN_S:
            return
        self._asked_at = time.monotonic()
        vector = Vector(not self._bounded, tuple(self._partitions.values()))
        try:
            found = [] if self._bounded else self._cluster.partitions()
            fresh = new_or_anew(vector, found, self._reader)
            anew = {each.place for each in fresh}
            cut = [
                each for each in self._unreadable if each in self._partitions and each not in anew
            ]
            spans = self._cluster.spans([*anew, *cut])
        except Unreachable:
            return  # the consumer logs that it waits
        if not self._bounded:
            self._note_missing(self._partitions.keys() - {each.place for each in found})
        self._unreadable.clear()
        self._consumer.ask_again([*anew, *cut])
        yield from map(self._step_of_change, changes_of(vector, fresh, spans))
        for place in cut:
            if change := out_of_range(self._partitions[place], spans[place]):
                yield self._step_of_change(change)

    def _step_of_change(self, change: Change) -> Step:
        progress, lost = change
        if not lost:
            _log.warning("Kafka has a new partition %s: read from its beginning", progress.place)
            return self._record(Step(progress))
        _log.error("%s", lost)
        at = self._partitions[progress.place].next_offset
        letter = Messages(str(progress.place), [at], [b""], error=lost)
        outputs = letter_outputs(letter, self._evaluate)
        return self._record(Step(progress, outputs, {Metric.LOST: 1}))

    def _record(self, step: Step) -> Step:
        self._partitions[step.progress.place] = step.progress
        return step


def _offsets(records: list[Message]) -> list[int]:
    """The offsets of records, which the brokers have given one each."""
    return cast(list[int], list(map(Message.offset, records)))


def _part(records: list[Message], offsets: list[int]) -> LogPart:
    times = [time_ms for _, time_ms in map(Message.timestamp, records)]
    return LogPart(np.array(offsets, np.int64), np.array(times, np.int64))


def _now_ms() -> int:
    return int(time.time() * 1000)
