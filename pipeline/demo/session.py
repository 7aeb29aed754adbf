"""The demo from its beginning to its end: what is started in which order, and what is printed."""

import math
import socket
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass

from chronon_beam.api.load import load_group_by
from chronon_beam.fetcher.fetch import Features
from chronon_beam.io.kv_store import open_store
from chronon_beam.pipeline.demo.folder import DemoFolder, opened_folder
from chronon_beam.pipeline.demo.freshness import Freshness
from chronon_beam.pipeline.demo.job_process import (
    JOB_NAME,
    JobProcess,
    job_arguments,
    shell_text,
    write_flink_settings,
)
from chronon_beam.pipeline.demo.kafka_broker import KafkaBroker, broker_jars
from chronon_beam.pipeline.demo.screen import (
    Screen,
    counts_line,
    features_line,
    names_row,
    starting_line,
    values_row,
)
from chronon_beam.pipeline.demo.shop import CUSTOMERS, DAMAGED_EVERY, Shop
from chronon_beam.pipeline.demo.watch import SHOWN, TopicLog, Watch
from chronon_beam.pipeline.interrupt import undisturbed_exits
from chronon_beam.pipeline.options import UsageError
from chronon_beam.pipeline.runners.flink_jar import job_server_jar

TOPIC, PARTITIONS = "ice_cream", 2
CHANGES = 3
"""So many changes of a customer's features are printed, at least a second apart."""

_INTRODUCTION = """\
An ice cream shop, live: orders go through Kafka and a job on Flink, and each
changes the features of a customer.
"""
_POLL_S = 0.05
_CHANGE_S = 1.0


@dataclass(frozen=True)
class DemoOptions:
    """The flags of the demo.

    Attributes:
        rate: orders per second.
        seconds: how long it goes on after the first feature; None means until Ctrl-C.
        port: the broker's; None for a free one.
        keep: a folder to make and leave there; None for one that is removed.
        program: how the user starts `chronon-beam`.
    """

    rate: float
    seconds: float | None
    port: int | None
    keep: str | None
    program: str


def demo(options: DemoOptions, screen: Screen) -> None:
    """Show the shop live, until `options.seconds` are over.

    Raises:
        UsageError: a port that is taken, or a folder that is there.
        FetchError, NoJobServerJar: a part cannot be downloaded.
        DemoFailed: a part does not start, or has ended; the message names its log.
    """
    began = time.monotonic()
    _require_free(options.port)
    with undisturbed_exits() as opened:
        folder = opened.enter_context(opened_folder(options.keep))
        screen.say(_INTRODUCTION)
        get_parts(screen)
        session = _started(options, folder, screen, opened, began)
        opened.callback(screen.say, "\nEnding the job, Kafka and the shop")
        opened.enter_context(screen)
        first = session.first_features()
        screen.say(f"First feature after {time.monotonic() - began:.0f} s\n")
        screen.say(session.commands)
        session.show_changes(first)
        session.show_counts()


def get_parts(screen: Screen) -> None:
    """Download what is not in the cache: Kafka's jars, and the jar that holds Flink."""
    broker_jars(lambda line: screen.say(f"Kafka   downloading, once: {line.strip()}"))

    def say(line: str) -> None:
        if line.startswith("  "):  # progress; where the jar was looked for is not printed
            screen.say(f"Flink   downloading, once: {line.strip()}")

    _, how = job_server_jar(None, say=say)
    screen.say(f"Flink   {how}")


def _started(
    options: DemoOptions, folder: DemoFolder, screen: Screen, opened: ExitStack, began: float
) -> "_Session":
    """Start the broker, the shop and the job; all of them end when `opened` does."""
    freshness = Freshness(CUSTOMERS)
    broker = KafkaBroker(folder.kafka, options.port)
    opened.callback(broker.stop)
    broker.create_topic(TOPIC, PARTITIONS)
    uri = f"kafka://{broker.bootstrap}/{TOPIC}"
    screen.say(f"Kafka   {uri}, {PARTITIONS} partitions")
    opened.enter_context(Shop(broker.bootstrap, TOPIC, options.rate, freshness))
    screen.say(f"shop    {options.rate:g} orders per second, of {len(CUSTOMERS)} customers")
    flink = write_flink_settings(folder)
    arguments = job_arguments(folder, uri)
    job = opened.enter_context(JobProcess(arguments, folder))
    screen.say(f"job     logs to {folder.job_log}; it was started by\n")
    screen.say(f"{shell_text(options.program, arguments)}\n")
    store = opened.enter_context(closing(open_store(folder.store)))
    log = opened.enter_context(closing(TopicLog(broker.bootstrap, TOPIC, PARTITIONS)))
    group_by = load_group_by(str(folder.group_by))
    watch = Watch(store, group_by, log, folder.dead_letters, freshness)
    said = next_commands(options.program, folder, uri, flink)
    return _Session(options.seconds, screen, job, watch, said, began)


def next_commands(program: str, folder: DemoFolder, topic_uri: str, flink: str) -> str:
    """What to type in another terminal; `flink` is the address of its REST API."""
    group_by, store = f"--group_by={folder.group_by}", f"--store={folder.store}"
    part = f"--source={topic_uri}?start=earliest&stop=end"
    fetch = shell_text(program, ["fetch", f"--key=customer_id={SHOWN}", group_by, store])
    trace = shell_text(program, ["trace", group_by, part])
    plan = shell_text(program, ["plan", group_by, part])
    status = shell_text(program, ["jobs", "status", JOB_NAME, f"--flink_master={flink}"])
    return (
        f"Fetch features in another terminal, and again a moment later:\n\n{fetch}\n\n"
        "Ask Flink how the job is, follow orders through it, or see what the GroupBy\n"
        f"becomes:\n\n{status}\n{trace} | head -2\n{plan}\n\n"
        f"One of {DAMAGED_EVERY} orders is damaged on its way, and becomes a dead letter in\n"
        f"  {folder.dead_letters}\n"
        "Ctrl-C ends all of it.\n"
    )


@dataclass
class _Session:
    """The demo while it runs.

    Attributes:
        seconds: how long it goes on after the first feature.
        commands: what the user may try.
        began: when it began, by the monotonic clock.
        ends: when it is to end, by the same clock; known from the first feature on.
    """

    seconds: float | None
    screen: Screen
    job: JobProcess
    watch: Watch
    commands: str
    began: float
    ends: float = math.inf

    def first_features(self) -> Features:
        """Wait for the first features."""
        while (features := self._look()) is None:
            if self.screen.is_due:
                self.screen.show([starting_line(self._elapsed_s(), self.job.said())])
        self.ends = time.monotonic() + (self.seconds or math.inf)
        self.screen.show([])
        return features

    def show_changes(self, features: Features) -> None:
        """Print features as they are now, and after each of some changes."""
        self.screen.say(f"{SHOWN}'s features change with each order:\n")
        self.screen.say(f"{names_row(features)}\n{values_row(features)}")
        for _ in range(CHANGES):
            shown = time.monotonic()
            while (now := self._look()) in (features, None) or time.monotonic() < shown + _CHANGE_S:
                pass
            features = now or {}
            self.screen.say(values_row(features))
        self.screen.say("")

    def show_counts(self) -> None:
        """Show counts, lag and freshness to the end."""
        while time.monotonic() < self.ends:
            features = self._look()
            if features and self.screen.is_due:
                counts = counts_line(self._elapsed_s(), self.watch.counts())
                self.screen.show([counts, features_line(features)])

    def _look(self) -> Features | None:
        """The features a moment later; raises DemoFailed if the job has ended."""
        time.sleep(_POLL_S)
        self.job.check()
        return self.watch.look()

    def _elapsed_s(self) -> float:
        return time.monotonic() - self.began


def _require_free(port: int | None) -> None:
    """Raise UsageError if another program listens at the port."""
    if port is None:
        return
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise UsageError(
                f"--port={port}: {getattr(error, 'strerror', None) or error}: another program "
                "has it; choose another port, or leave --port out for a free one"
            ) from None
