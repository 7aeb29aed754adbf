"""The broker that other tests talk to keeps what it was given, and asks who comes."""

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from kafka_broker import PASSWORD, USER, KafkaBroker


def test_records_outlive_the_broker(kafka_broker: KafkaBroker) -> None:
    topic = kafka_broker.create_topic("outlives")
    producer = Producer({"bootstrap.servers": kafka_broker.bootstrap})
    producer.produce(topic, b"before")
    assert producer.flush(30) == 0
    kafka_broker.kill()
    kafka_broker.start()
    consumer = Consumer({"bootstrap.servers": kafka_broker.bootstrap, "group.id": "test"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    message = consumer.poll(30)
    assert message is not None
    assert message.value() == b"before"
    consumer.close()


@pytest.mark.parametrize(("password", "let_in"), [(PASSWORD, True), ("wrong", False)])
def test_the_listener_with_sasl_knows_one_account(
    kafka_broker: KafkaBroker, password: str, let_in: bool
) -> None:
    errors: list[KafkaError] = []
    consumer = Consumer(
        {
            "bootstrap.servers": kafka_broker.sasl_bootstrap,
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": USER,
            "sasl.password": password,
            "group.id": "test",
            "error_cb": errors.append,
        }
    )
    if let_in:
        assert consumer.list_topics(timeout=30).brokers
    else:
        with pytest.raises(KafkaException):
            consumer.list_topics(timeout=3)
        consumer.poll(0)
        assert KafkaError._AUTHENTICATION in {error.code() for error in errors}
    consumer.close()
