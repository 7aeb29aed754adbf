"""How fast writers send while the store refuses requests."""

from chronon_beam.io.bigtable.adaptive_rate import AdaptiveRate


class Clock:
    """Time passes by sleeping only."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def read(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def send(rate: AdaptiveRate, clock: Clock, rows: int) -> float:
    """How long one has to wait to send so many."""
    before_s = clock.now_s
    rate.wait(rows)
    return clock.now_s - before_s


def test_nothing_is_held_back_until_the_store_refuses() -> None:
    clock = Clock()
    rate = AdaptiveRate("s", clock.read, clock.sleep)
    assert [send(rate, clock, 10**6) for _ in range(3)] == [0, 0, 0]
    rate.grow()
    assert rate.limit is None


def test_rate_is_cut_below_what_was_refused_and_grows_until_it_is_gone() -> None:
    clock = Clock()
    rate = AdaptiveRate("s", clock.read, clock.sleep)
    for _ in range(10):
        rate.wait(1000)
        clock.sleep(0.1)
    rate.cut()
    assert rate.limit is not None
    assert 6900 < rate.limit < 7100  # of 10,000 a second
    rate.cut()  # of what was under way: counts once
    assert 6900 < rate.limit < 7100
    send(rate, clock, 7000)
    assert 0.9 < send(rate, clock, 7000) < 1.1
    clock.sleep(1)
    rate.cut()
    assert 4800 < rate.limit < 5000
    for _ in range(30):
        clock.sleep(1)
        rate.grow()
    assert rate.limit is None


def test_rate_never_falls_to_nothing() -> None:
    clock = Clock()
    rate = AdaptiveRate("s", clock.read, clock.sleep)
    for _ in range(50):
        rate.cut()
        clock.sleep(2)
    assert rate.limit == 100
