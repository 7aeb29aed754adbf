"""What a kafka: URI says, and what is said of a wrong one."""

import pytest

from chronon_beam.api.serde import Format
from chronon_beam.io.kafka.options import Border, KafkaOptions, parse_options
from chronon_beam.io.kafka.progress import Place
from chronon_beam.io.kafka.topic_string import uri_of

BROKER = "kafka://broker:9092"


def test_brokers_and_a_topic_are_enough() -> None:
    assert parse_options(f"{BROKER}/orders") == KafkaOptions("broker:9092", ("orders",))
    assert not parse_options(f"{BROKER}/orders").bounded


def test_every_parameter_is_read() -> None:
    uri = (
        "kafka://a:1,b:2/orders,^clicks-.*?schema=id STRING, ts BIGINT&format=avro&subject=s"
        "&start=2023-11-14T22:13:20Z&stop=end&group=g&properties=/etc/k&discover=5s&readers=4"
    )
    assert parse_options(uri) == KafkaOptions(
        "a:1,b:2",
        ("orders", "^clicks-.*"),
        Border("time", 1_700_000_000_000),
        Border("end"),
        Format("avro", {"subject": "s"}),
        "id STRING, ts BIGINT",
        "g",
        "/etc/k",
        5_000,
        4,
    )


@pytest.mark.parametrize(
    ("text", "border"),
    [
        ("earliest", Border("earliest")),
        ("latest", Border("latest")),
        ("committed", Border("committed")),
        ("1700000000000", Border("time", 1_700_000_000_000)),
        ("2023-11-14T22:13:20", Border("time", 1_700_000_000_000)),
        ("2023-11-14T23:13:20+01:00", Border("time", 1_700_000_000_000)),
        ("0:15,2:7", Border("offsets", offsets={Place("t", 0): 15, Place("t", 2): 7})),
        ("t/0:15", Border("offsets", offsets={Place("t", 0): 15})),
    ],
)
def test_start_is_a_word_a_time_or_offsets(text: str, border: Border) -> None:
    assert parse_options(f"{BROKER}/t?start={text}").start == border


@pytest.mark.parametrize(
    ("rest", "subject"),
    [
        ("orders?registry=http://r:8081", "orders-value"),
        ("orders?registry=http://r:8081&subject=mine", "mine"),
        ("orders", None),
        ("orders,clicks?registry=http://r:8081", None),
        ("^orders?registry=http://r:8081", None),
    ],
)
def test_subject_is_that_of_the_only_topic(rest: str, subject: str | None) -> None:
    assert parse_options(f"{BROKER}/{rest}").format.parameters.get("subject") == subject


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("kafka://orders/x", "must name brokers with their ports and a topic"),
        ("kafka:broker:9092/orders", "must name brokers with their ports and a topic"),
        (f"{BROKER}/", "must name brokers with their ports and a topic"),
        (f"{BROKER}/^a(", "the topic pattern '\\^a\\(' is not regular"),
        (f"{BROKER}/t?start=end", "start=end is unknown: use committed, latest, earliest, a time"),
        (f"{BROKER}/t?stop=soon", "stop=soon is unknown: use never, end, a time"),
        (f"{BROKER}/a,b?start=0:1", "'0:1' is no offset: .* TOPIC/PARTITION:OFFSET"),
        (f"{BROKER}/t?readers=0", "a number from 1 to 1024 is expected"),
        (f"{BROKER}/t?discover=5", "'5' is no length of time"),
    ],
)
def test_a_wrong_uri_is_refused_with_a_remedy(uri: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_options(uri)


def test_a_password_in_a_uri_is_refused_without_being_repeated() -> None:
    with pytest.raises(ValueError, match="no user and no password") as refused:
        parse_options("kafka://ann:hunter2@broker:9092/orders")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("topic", "uri"),
    [
        ("orders", "kafka://broker:9092/orders"),
        ("kafka://orders", "kafka://broker:9092/orders"),
        ("bus://orders/serde=avro", "kafka://broker:9092/orders?format=avro"),
        ("kafka://orders/host=b/port=1", "kafka://b:1/orders"),
        ("kafka://orders/host=b", "kafka://b:9092/orders"),
        ("kafka://orders/bootstrap=a:1,b:2/x", "kafka://a:1,b:2/orders"),
        ("orders/start_offset=170", "kafka://broker:9092/orders?start=170"),
        (
            "kafka://orders/registry_url=http:////registry:8081//v1",
            "kafka://broker:9092/orders?registry_url=http://registry:8081/v1",
        ),
        (
            "kafka://orders/registry_host=r/registry_port=8081/subject=sales",
            "kafka://broker:9092/orders?subject=sales&registry=http://r:8081&format=registry",
        ),
        (
            "kafka://orders/serde=schema_registry/registry_scheme=https/registry_host=r"
            "/schema_registry_wire_format=false",
            "kafka://broker:9092/orders?registry=https://r&framing=none&format=registry",
        ),
        (
            "kafka://orders/serde=avro/registry_host=r",
            "kafka://broker:9092/orders?registry=http://r&format=avro",
        ),
        (
            "kafka://orders/serde=apicurio_registry/registry_host=r/registry_port=80",
            "kafka://broker:9092/orders?format=registry&registry=http://r:80/apis/registry/v2"
            "&subject=default/orders&framing=none",
        ),
        (
            "kafka://orders/serde=apicurio_registry/registry_host=r/group_id=shop"
            "/artifact_id=sale/wire_format=Apicurio",
            "kafka://broker:9092/orders?format=registry&registry=http://r/apis/registry/v2"
            "&subject=shop/sale&framing=apicurio",
        ),
    ],
)
def test_topic_strings(topic: str, uri: str) -> None:
    assert uri_of(topic, "broker:9092") == uri
    parse_options(uri)


@pytest.mark.parametrize("serde", ["custom", "pubsub_schema", "glue_registry"])
def test_serdes_of_a_topic_string_that_are_not_ours_are_refused(serde: str) -> None:
    with pytest.raises(ValueError, match=f"serde={serde} is not known here: give --source="):
        uri_of(f"kafka://orders/serde={serde}", "broker:9092")


def test_a_parameter_that_would_change_values_is_refused() -> None:
    topic = "kafka://orders/registry_host=r/proto3_default_as_null=true"
    with pytest.raises(ValueError, match="proto3_default_as_null is not known here"):
        uri_of(topic, "broker:9092")


def test_a_registry_needs_a_host() -> None:
    with pytest.raises(ValueError, match="serde=apicurio_registry needs registry_host="):
        uri_of("kafka://orders/serde=apicurio_registry", "broker:9092")


def test_a_topic_string_needs_brokers() -> None:
    with pytest.raises(ValueError, match="add --kafka_bootstrap=HOST:PORT"):
        uri_of("kafka://orders/serde=avro", None)


def test_other_buses_are_refused() -> None:
    with pytest.raises(ValueError, match="on the bus 'kinesis': give --source"):
        uri_of("kinesis://orders", "broker:9092")
