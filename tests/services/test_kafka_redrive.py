"""Letters of a topic, in a topic, through the job again: as if nothing had been damaged."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from kafka_broker import KafkaBroker

from chronon_beam.pipeline.cli import main

GROUP_BY = """
from chronon_beam.api import *
OWN = GroupBy(
    name="t.redriven",
    keys=["user"],
    sources=Source(EventSource(query=Query(
        select(user="CAST(__key AS STRING)", price="{price}"), time_column="__kafka_timestamp"
    ))),
    aggregations=[
        Aggregation("price", operation, [Window(1, TimeUnit.DAYS)])
        for operation in (Operation.COUNT, Operation.SUM)
    ],
)
"""
NOON_MS = 1_700_049_600_000
NUMBER = 60


def produce(broker: KafkaBroker, topic: str) -> None:
    """Prices of which each fifth is a text, and each seventh is no price."""
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for number in range(NUMBER):
        price: Any = f"{number}" if number % 5 == 0 else float(number)
        value = json.dumps({"price": price}) if number % 7 else '{"price": {}}'
        key, at = b"ab"[number % 2 :][:1], NOON_MS + number
        producer.produce(topic, value, key, number % 2, timestamp=at)
    assert producer.flush(60) == 0


def test_redriven_records_count_once_by_their_keys_and_times(
    kafka_broker: KafkaBroker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = kafka_broker.create_topic("redrive-orders", 2)
    dead = kafka_broker.create_topic("redrive-dead", 2)
    produce(kafka_broker, topic)
    declared = tmp_path / "own.py"
    flags = (f"--store=sqlite:{tmp_path}/f.db", f"--group_by={declared}")
    letters = f"--dead_letters=kafka://{kafka_broker.bootstrap}/{dead}"
    uri = f"--source=kafka://{kafka_broker.bootstrap}/{topic}?start=earliest&stop=end&schema=price"
    declared.write_text(GROUP_BY.format(price="price"))
    assert main(["run", *flags, letters, f"{uri} DOUBLE"]) == 0
    declared.write_text(GROUP_BY.format(price="CAST(price AS DOUBLE)"))

    def redrive(*more: str) -> Any:
        capsys.readouterr()
        code = main(["redrive", *flags, letters, f"{uri} STRING", "--json", *more])
        found = json.loads(capsys.readouterr().out)["letters"]
        return code, {each["fate"]: each["letters"] for each in found}

    check(redrive)
    for user, parity in (("a", 0), ("b", 1)):
        main(["fetch", *flags, f"--key=user={user}", "--at", str(NOON_MS + 3_600_000)])
        prices = [n for n in range(NUMBER) if n % 7 and n % 2 == parity]
        features = {"price_count_1d": len(prices), "price_sum_1d": float(sum(prices))}
        assert json.loads(capsys.readouterr().out) == features


def check(redrive: Callable[..., Any]) -> None:
    """Texts are redriven, once; what is no price remains."""
    mended = len([n for n in range(0, NUMBER, 5) if n % 7])
    remaining = {"remaining": len(range(0, NUMBER, 7))}
    assert redrive("--dry_run") == (0, {"redriven": mended, **remaining})
    assert redrive() == (1, {"redriven": mended, **remaining})
    assert redrive() == (1, {"redriven before": mended, **remaining})
    assert redrive("--step=Write") == (0, {})
