"""What is held is known until it is acknowledged or given back, each once."""

from chronon_beam.io.pubsub.leases import Leases


def test_a_message_is_held_from_its_pull_to_its_end() -> None:
    leases = Leases()
    first, second = leases.pulled(["a", "b"], 0), leases.pulled(["c"], 1)
    assert leases.number == 3
    leases.take([first])
    assert leases.taken() == [first]
    assert leases.taken() == []
    assert leases.end([first, second]) == ["a", "b", "c"]
    assert leases.end([first]) == []
    assert (leases.number, leases.all()) == (0, [])


def test_leases_are_due_before_they_end() -> None:
    leases = Leases()
    first, second = leases.pulled(["a"], 0), leases.pulled(["b"], 3)
    assert leases.due(4) == []
    assert leases.due(5) == [first]
    first.ends_s = 60
    assert leases.due(8) == [second]
