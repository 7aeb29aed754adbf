"""Time lines of writes that overlap: x an attempt that fails, o one that is taken."""

import threading

from chronon_beam.io.bigtable.write_order import WriteOrder


def test_write_alone_sends_all_its_cells() -> None:
    order = WriteOrder()
    with order.write({1, 2}) as write, order.attempt(write) as superseded:
        assert superseded == frozenset()


def test_retry_leaves_out_what_a_younger_write_has_taken() -> None:
    # A  1,2 --x---------------o(2)
    # B          1 ----o
    order = WriteOrder()
    with order.write({1, 2}) as older:
        with order.attempt(older):
            pass
        with order.write({1, 3}) as younger, order.attempt(younger) as superseded:
            assert superseded == frozenset()
        with order.attempt(older) as superseded:
            assert superseded == {1}


def test_younger_write_waits_for_an_attempt_that_is_under_way() -> None:
    # A  1 --[......]x
    # B        1 ------[o]
    order = WriteOrder()
    events: list[str] = []
    started = threading.Event()

    def younger() -> None:
        with order.write({1}) as write:
            started.set()
            with order.attempt(write):
                events.append("younger")

    with order.write({1}) as older:
        with order.attempt(older):
            thread = threading.Thread(target=younger)
            thread.start()
            assert started.wait(10)
            events.append("older")
        thread.join(10)
    assert events == ["older", "younger"]


def test_writes_of_other_cells_do_not_wait() -> None:
    order = WriteOrder()
    with (
        order.write({1}) as first,
        order.attempt(first),
        order.write({2}) as second,
        order.attempt(second) as superseded,
    ):
        assert superseded == frozenset()
