"""What a launch of a template may say of a Kafka source, and what it may not."""

import pytest
from apache_beam.options.value_provider import RuntimeValueProvider

from chronon_beam.io.at_launch import at_launch
from chronon_beam.io.kafka.launched import launched_options, without_place
from chronon_beam.io.kafka.options import Border, parse_options
from chronon_beam.io.kafka.source import KafkaSource

BUILT = without_place(
    parse_options("kafka://a:1/orders?schema=id STRING&format=avro&registry=http://r&start=latest")
)


def test_template_keeps_what_events_are_and_not_where() -> None:
    assert (BUILT.bootstrap, BUILT.topics, BUILT.start) == ("", (), Border("committed"))
    assert (BUILT.ddl, BUILT.format.name) == ("id STRING", "avro")
    source = KafkaSource.from_uri("kafka://a:1/orders?schema=id STRING")
    assert "a:1" not in repr(source.launched(at_launch("source")).options)


@pytest.mark.parametrize(
    "events",
    ["", "&schema=id STRING", "&format=avro", "&registry=http://r", "&subject=orders-value"],
)
def test_launch_says_where_events_are(events: str) -> None:
    found = launched_options(
        BUILT, f"kafka://b:2,c:3/orders?start=earliest&group=g&properties=p&readers=3{events}"
    )
    assert (found.bootstrap, found.topics) == ("b:2,c:3", ("orders",))
    assert (found.start, found.group) == (Border("earliest"), "g")
    assert (found.properties, found.readers) == ("p", 3)
    assert (found.ddl, found.format) == (BUILT.ddl, BUILT.format)


@pytest.mark.parametrize(
    ("said", "about"),
    [
        ("schema=id INT", "schema="),
        ("format=protobuf", "format="),
        ("registry=http://other", "registry="),
        ("subject=other", "subject="),
        ("stop=end", "stop="),
    ],
)
def test_launch_cannot_make_events_others(said: str, about: str) -> None:
    with pytest.raises(ValueError, match=f"{about}.*(leave it out|leave out)"):
        launched_options(BUILT, f"kafka://b:2/orders?{said}")


def test_source_that_ends_is_no_templates() -> None:
    ends = KafkaSource.from_uri("kafka://a:1/orders?stop=end")
    with pytest.raises(ValueError, match="leave out stop="):
        ends.launched(at_launch("source"))


def test_value_is_that_of_the_launch_or_the_default() -> None:
    RuntimeValueProvider.set_runtime_options({"store": "null:"})
    try:
        assert at_launch("store").get() == "null:"
        assert at_launch("dead_letters", "log:").get() == "log:"
    finally:
        RuntimeValueProvider.set_runtime_options(None)
