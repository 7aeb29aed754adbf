"""What is held is known until it is acknowledged or given back, each once."""

from chronon_beam.io.pubsub.leases import Leases


def test_a_message_is_held_from_its_pull_to_its_end() -> None:
    leases = Leases()
    first, second = leases.add(["a", "b"], 0), leases.add(["c"], 1)
    assert leases.number == 3
    leases.take([first])
    assert leases.pop_taken() == [first]
    assert leases.pop_taken() == []
    assert leases.end([first, second]) == ["a", "b", "c"]
    assert leases.end([first]) == []
    assert (leases.number, leases.all()) == (0, [])


def test_leases_are_due_before_they_end() -> None:
    leases = Leases()
    first, second = leases.add(["a"], 0), leases.add(["b"], 3)
    assert leases.due(4) == []
    assert leases.due(5) == [first]
    first.ends_s = 60
    assert leases.due(8) == [second]
