"""How long orders take is known to the millisecond, however many of them one look finds."""

from collections import deque
from statistics import quantiles

from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.pipeline.demo.freshness import RECENT, Freshness

KEYS = ("a", "b")
STEPS = st.lists(st.tuples(st.sampled_from(KEYS), st.integers(0, 3), st.integers(0, 50)))
"""(the key that is looked at, how many of its orders have arrived since, how late the look is)"""


@given(STEPS)
def test_each_order_is_seen_once_with_the_time_it_took(steps: list[tuple[str, int, int]]) -> None:
    freshness = Freshness(KEYS)
    sent = {key: deque[int]() for key in KEYS}
    took, now_ms, since_ms = [], 1, None
    for key, number, late_ms in steps:
        for each in KEYS:
            freshness.send(each, now_ms)
            sent[each].append(now_ms)
        now_ms += 1 + late_ms
        arrived = [sent[key].popleft() for _ in range(min(number, len(sent[key])))]
        if arrived:
            since_ms = since_ms or now_ms
            freshness.see(key, arrived[-1], now_ms)
            took += [now_ms - created for created in arrived if created >= since_ms]
    assert freshness.seen == 2 * len(steps) - sum(map(len, sent.values()))
    found = freshness.percentiles()
    if len(took) < 2:
        assert found is None
    else:
        cuts = quantiles(took[-RECENT:], n=100, method="inclusive")
        assert found == (cuts[49], cuts[98])


def test_only_the_orders_seen_last_count() -> None:
    freshness = Freshness(KEYS)
    freshness.send("a", 1)
    freshness.see("a", 1, 2)
    for at_ms in range(3, 3 + 2 * RECENT):
        freshness.send("a", at_ms)
        freshness.see("a", at_ms, at_ms + (500 if at_ms < 3 + RECENT else 7))
    assert freshness.percentiles() == (7, 7)
