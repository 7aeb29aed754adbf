"""Settings come from the file and the environment, and secrets go nowhere else."""

import pickle
from pathlib import Path

import pytest
from confluent_kafka import Consumer

from chronon_beam.io.kafka.client import admin_settings, consumer_settings, open_client
from chronon_beam.io.kafka.options import KafkaOptions, parse_options
from chronon_beam.io.kafka.source import KafkaSource

SECRET = "hunter2"


def options_of(tmp_path: Path, text: str) -> KafkaOptions:
    file = tmp_path / "client.properties"
    file.write_text(text, encoding="utf-8")
    return parse_options(f"kafka://broker:9092/orders?properties={file}")


def test_a_properties_file_is_read_as_javas(tmp_path: Path) -> None:
    options = options_of(
        tmp_path,
        "# who\n! and how\n\nsecurity.protocol = SASL_SSL\nsasl.username=ann\nsasl.password=a=b\n",
    )
    settings = consumer_settings(options, "group")
    assert settings["security.protocol"] == "SASL_SSL"
    assert settings["sasl.password"] == "a=b"
    assert settings["group.id"] == "group"
    assert settings["isolation.level"] == "read_committed"


def test_the_account_of_a_jaas_line_is_taken(tmp_path: Path) -> None:
    module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    options = options_of(
        tmp_path, f'sasl.jaas.config={module} username="ann" password="{SECRET}";\n'
    )
    settings = admin_settings(options)
    assert (settings["sasl.username"], settings["sasl.password"]) == ("ann", SECRET)
    assert "sasl.jaas.config" not in settings


def test_the_environment_is_read_and_the_file_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", SECRET)
    monkeypatch.setenv("KAFKA_SASL_USERNAME", "bob")
    monkeypatch.setenv("KAFKA_HEAP_OPTS", "-Xmx1g")
    settings = admin_settings(options_of(tmp_path, "sasl.username=ann\n"))
    assert (settings["sasl.username"], settings["sasl.password"]) == ("ann", SECRET)
    assert "heap.opts" not in settings


def test_no_secret_is_in_what_travels_to_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", SECRET)
    options = options_of(tmp_path, f"ssl.key.password={SECRET}\n")
    source = KafkaSource(options)
    assert SECRET.encode() not in pickle.dumps(source.transform(source.attributes()))
    assert SECRET not in repr(source)


def test_a_setting_that_the_job_needs_is_refused_by_its_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"client.properties:2: group\.id is set by the job"):
        admin_settings(options_of(tmp_path, "# mine\ngroup.id=x\n"))


def test_a_line_without_a_value_is_refused_by_its_number(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"client.properties:1: NAME=VALUE is expected"):
        admin_settings(options_of(tmp_path, SECRET))


def test_a_missing_file_is_said_with_where_it_is_needed(tmp_path: Path) -> None:
    options = parse_options(f"kafka://broker:9092/orders?properties={tmp_path}/none")
    with pytest.raises(ValueError, match="No such file.*every machine with workers"):
        admin_settings(options)


@pytest.mark.parametrize("line", ["sasl.pasword=x", "security.protocol=NONE"])
def test_what_librdkafka_refuses_is_told_without_secrets(tmp_path: Path, line: str) -> None:
    options = options_of(tmp_path, f"sasl.password={SECRET}\n{line}\n")
    with pytest.raises(ValueError, match="the Kafka client refuses a setting") as refused:
        open_client(Consumer, consumer_settings(options, "group"))
    assert line.partition("=")[0] in str(refused.value)
    assert SECRET not in str(refused.value)
