"""The pubsub: source on a server: each test runs on all servers that this machine has."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest
from google.api_core import exceptions
from google.cloud.pubsub_v1 import SubscriberClient
from pubsub_server import PubsubServer, Topic
from waiting import eventually

from chronon_beam.api.records import Messages
from chronon_beam.io.live import LiveSettings
from chronon_beam.io.pubsub.attributes import COLUMNS, position_of
from chronon_beam.io.pubsub.options import parse_options
from chronon_beam.io.pubsub.session import PubsubSession
from chronon_beam.io.pubsub.subscription import Subscription
from chronon_beam.io.sources import open_source

pytestmark = pytest.mark.usefixtures("pubsub")
READER = "chronon-t"


class Reader:
    """A session of a topic's subscription, and what a runner does to it."""

    def __init__(self, topic: Topic, lease_s: int = 60) -> None:
        options = parse_options(f"pubsub://shop/topics/{topic.name}")
        self.subscription = Subscription(options, f"{READER}-{topic.name}")
        if lease_s != 60:
            topic.subscribe(self.subscription.path, lease_s)
        self.subscription.check()
        live = LiveSettings(disorder_ms=0, idle_ms=600_000, linger_ms=5)
        self.session = PubsubSession(self.subscription, live, pa.schema([]))
        self.moment = 0
        self.final: list[Callable[[], None]] = []

    def register(self, callback: Callable[[], None]) -> None:
        """What a bundle is to do when it is final."""
        self.final.append(callback)

    def bundle(self) -> list[Messages]:
        """What one bundle gives out."""
        found = []
        self.session.begin(self.moment)
        for batch in self.session.batches(0, 0.2, 0.2):
            self.moment += 1
            self.session.take(batch, self.moment)
            found += batch.messages
        self.session.acknowledge_when_final(self)
        return found

    def payloads(self, number: int) -> list[bytes]:
        """What bundles give out until there are so many."""
        found: list[bytes] = []

        def are_there() -> bool:
            found.extend(each for messages in self.bundle() for each in messages.payloads)
            return len(found) >= number

        assert eventually(are_there)
        return sorted(found)


@pytest.fixture
def topic() -> Topic:
    return Topic()


@pytest.fixture
def reader(topic: Topic) -> Iterator[Reader]:
    made = Reader(topic)
    yield made
    made.session.close()


def numbered(number: int) -> list[bytes]:
    return [b"%06d" % each for each in range(number)]


def is_empty(reader: Reader) -> bool:
    """Whether the server has nothing to give."""
    client = SubscriberClient()
    try:
        pulled = client.pull(subscription=reader.subscription.path, max_messages=10, timeout=3)
        return not pulled.received_messages
    except (exceptions.DeadlineExceeded, exceptions.RetryError):
        return True
    finally:
        client.close()


def test_messages_come_with_their_ids(topic: Topic, reader: Reader) -> None:
    ids = topic.publish(numbered(3), kind="order")
    found: list[Messages] = []
    assert eventually(lambda: found.extend(reader.bundle()) or sum_of(found) == 3)
    assert {each.source for each in found} == {reader.subscription.path}
    given = {p: b for each in found for p, b in zip(each.positions, each.payloads, strict=True)}
    assert given == dict(zip(map(position_of, ids), numbered(3), strict=True))
    assert [each.promised_ms.to_pylist() for each in found if each.promised_ms] == [
        [0] * len(each.positions) for each in found
    ]


def sum_of(found: list[Messages]) -> int:
    return sum(len(each.positions) for each in found)


def test_what_a_final_bundle_gave_out_is_acknowledged(topic: Topic, reader: Reader) -> None:
    topic.publish(numbered(3000))
    assert reader.payloads(3000) == numbered(3000)
    while reader.final:
        reader.final.pop()()
        reader.bundle()  # what came after the first bundle waits for others
    reader.session.close()
    assert is_empty(reader)


def test_what_was_final_once_may_not_be_in_the_checkpoint_and_is_given_again(
    topic: Topic, reader: Reader
) -> None:
    topic.publish(numbered(500))
    assert reader.payloads(500) == numbered(500)
    reader.final.pop()()
    reader.moment = -1  # the runner goes back to a checkpoint before the bundle
    assert reader.payloads(500) == numbered(500)


def test_what_is_not_final_is_given_again(topic: Topic, reader: Reader) -> None:
    topic.publish(numbered(500))
    assert reader.payloads(500) == numbered(500)
    reader.moment = -1  # the runner goes back
    assert reader.payloads(500) == numbered(500)
    reader.session.close()
    other = Reader(topic)
    assert other.payloads(500) == numbered(500)
    other.session.close()


def test_what_is_held_is_not_given_to_others(topic: Topic) -> None:
    reader = Reader(topic, lease_s=10)
    topic.publish(numbered(5))
    assert reader.payloads(5) == numbered(5)
    until = time.monotonic() + 11
    while time.monotonic() < until:
        assert reader.bundle() == []
    assert is_empty(reader)
    reader.session.close()


def test_large_messages_pass(topic: Topic, reader: Reader) -> None:
    large = [b"%d" % each * 9_900_000 for each in range(4)]
    for each in large:
        topic.publish([each])
    assert reader.payloads(4) == large


def test_attributes_are_columns(topic: Topic, reader: Reader) -> None:
    reader.session._columns = COLUMNS
    (message_id,) = topic.publish([b"1"], kind="order")
    found: list[Any] = []
    assert eventually(lambda: found.extend(reader.bundle()) or found != [])
    (row,) = found[0].attributes.to_pylist()
    assert (row["__attributes"], row["__message_id"]) == ([("kind", "order")], message_id)
    assert abs(row["__publish_time"] - time.time() * 1000) < 600_000


def test_a_subscription_that_does_not_exist_names_the_nearest(
    topic: Topic, reader: Reader, pubsub: PubsubServer
) -> None:
    name = reader.subscription.path.rpartition("/")[2]
    open_source(f"pubsub://shop/subscriptions/{name}").reach()
    with pytest.raises(ValueError, match=f"Pub/Sub has no .*: the nearest are .*{name}"):
        open_source(f"pubsub://shop/subscriptions/{name}x").reach()
    with pytest.raises(ValueError, match="Pub/Sub has no projects/shop/topics/none"):
        open_source("pubsub://shop/topics/none").reach()


def test_the_subscription_of_another_topic_is_refused(topic: Topic, reader: Reader) -> None:
    other = Topic()
    options = parse_options(f"pubsub://shop/topics/{other.name}")
    with pytest.raises(ValueError, match=f"a subscription of projects/shop/topics/{topic.name}"):
        Subscription(options, f"{READER}-{topic.name}").check()


def test_a_server_that_is_down_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "localhost:1")
    with pytest.raises(ConnectionError, match=r"Pub/Sub does not answer: .*Check the network"):
        open_source("pubsub://shop/subscriptions/orders").reach()
