"""What a worker has loaded is passed over by garbage collection; what comes later is not."""

import gc
import weakref

from chronon_beam.transforms.start_up import freeze_start_up


class Ring:
    """Refers to itself, so that only the garbage collector ends it."""

    def __init__(self) -> None:
        self.next = self


def test_only_objects_of_the_start_up_are_exempt() -> None:
    freeze_start_up()
    assert gc.get_freeze_count() > 0
    later = weakref.ref(Ring())
    gc.collect()
    assert later() is None


def test_objects_are_exempt_once_per_process() -> None:
    freeze_start_up()
    frozen = gc.get_freeze_count()
    kept = [Ring() for _ in range(1000)]
    freeze_start_up()
    assert gc.get_freeze_count() <= frozen
    assert all(ring.next is ring for ring in kept)
