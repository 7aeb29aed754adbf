"""What a pubsub: URI says."""

import pytest

from chronon_beam.api.serde import Format
from chronon_beam.io.pubsub.options import PubsubOptions, parse_options


def test_a_subscription_or_a_topic_is_named() -> None:
    options = parse_options("pubsub://shop/subscriptions/orders?schema=id BIGINT&readers=3")
    assert options == PubsubOptions("shop", "orders", ddl="id BIGINT", readers=3)
    assert options.subscription_path("chronon-g") == "projects/shop/subscriptions/orders"
    of_topic = parse_options("pubsub://shop/topics/orders?format=avro&registry=http://r:1")
    assert of_topic.format == Format("avro", {"registry": "http://r:1"})
    assert of_topic.topic_path == "projects/shop/topics/orders"
    assert of_topic.subscription_path("chronon-g") == "projects/shop/subscriptions/chronon-g"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("pubsub://orders", "must name a project and a subscription, or a topic"),
        ("pubsub:shop/topics/orders", "must name a project"),
        ("pubsub://shop/topic/orders", "must name a project"),
        ("pubsub://shop/topics/orders?readers=0", "readers='0': a number from 1 to 1024"),
        ("pubsub://shop/topics/orders?remember=5s", "remember=5s: at least 1m is expected"),
    ],
)
def test_what_makes_no_sense_is_refused(uri: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_options(uri)
