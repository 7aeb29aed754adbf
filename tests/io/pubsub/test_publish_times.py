"""What a reader promises of event time."""

from chronon_beam.api.records import MIN_MS
from chronon_beam.io.pubsub.publish_times import PublishTimes


def test_the_oldest_message_of_a_minute_holds_the_promise() -> None:
    times = PublishTimes(disorder_ms=10, idle_ms=30_000, now_s=0)
    assert times.promised_ms(1_000_000, 1) == MIN_MS
    times.add(900_000, 2)
    times.add(500_000, 3)
    times.add(990_000, 45)
    assert times.promised_ms(1_000_000, 50) == 499_989
    assert times.promised_ms(1_000_000, 74) == 989_989


def test_while_nothing_comes_the_clock_promises() -> None:
    times = PublishTimes(disorder_ms=10, idle_ms=30_000, now_s=0)
    assert times.promised_ms(1_000_000, 30) == 999_989
    times.add(500_000, 31)
    assert times.promised_ms(1_000_001, 32) == 499_989
    assert times.promised_ms(1_000_001, 61) == 999_990


def test_while_the_server_is_down_it_does_not() -> None:
    times = PublishTimes(disorder_ms=10, idle_ms=30_000, now_s=0)
    times.not_quiet(29)
    assert times.promised_ms(1_000_000, 58) == MIN_MS
    assert times.promised_ms(1_000_000, 59) == 999_989
