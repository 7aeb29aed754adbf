"""What a letter holds of a failure, and what it leaves out."""

from hypothesis import given
from letters import BAD, ORIGIN, failures, letter

from chronon_beam.api.records import Failure
from chronon_beam.io.dead_letters.letter import MOST_BYTES, letter_of, without_secrets


@given(failures)
def test_letter_of_an_ordinary_failure_has_all_of_it(failure: Failure) -> None:
    kept = letter(failure)
    assert not kept.cut
    assert kept.failure._replace(headers=(), reason="") == failure._replace(headers=(), reason="")
    assert [name for name, _ in kept.failure.headers] == [name for name, _ in failure.headers]


def test_size_is_bounded_and_a_letter_says_what_it_lacks() -> None:
    large = BAD._replace(payload=b"x" * (10 << 20), reason="y" * 10_000)
    kept = letter(large)
    assert (len(kept.failure.payload), kept.size, kept.cut) == (MOST_BYTES, 10 << 20, True)
    assert len(kept.failure.reason) < 2_100
    heavy = letter(BAD._replace(headers=[("h", b"x" * (1 << 20))], key=b"k"))
    assert (heavy.failure.headers, heavy.failure.key, heavy.cut) == ((), None, True)
    assert heavy.failure.payload == BAD.payload
    assert letter_of(BAD, ORIGIN, 0, most_bytes=2).failure.payload == b"{b"


def test_letters_of_two_large_payloads_that_begin_alike_are_two() -> None:
    first, second = (BAD._replace(payload=b"x" * size) for size in (1 << 20, 2 << 20))
    assert letter(first).id != letter(second).id


def test_nothing_secret_is_kept() -> None:
    headers = [("Authorization", b"Bearer abc"), ("x-api-key", b"abc"), ("trace", b"abc")]
    reason = "no answer from https://ann:hunter2@host/?token=abc&a=1 with sasl.password='hunter2'"
    kept = letter(BAD._replace(headers=headers, reason=reason)).failure
    assert dict(kept.headers) == {"Authorization": b"***", "x-api-key": b"***", "trace": b"abc"}
    assert "hunter2" not in kept.reason
    assert "token=***&a=1" in kept.reason


def test_reasons_without_secrets_stay_as_they_are() -> None:
    for reason in (
        "column 'token': expected INT, found 'x'",
        "not JSON: line 1",
        "http://host:80/x",
    ):
        assert without_secrets(reason) == reason


def test_a_letter_is_known_again_whatever_was_wrong_with_it() -> None:
    again = BAD._replace(step="Evaluate", reason="another")
    assert letter(BAD).id == letter(again, failed_ms=5).id
    others = (BAD._replace(position=4), BAD._replace(source="b"), BAD._replace(payload=b"{"))
    assert len({letter(each).id for each in (BAD, *others)}) == 4
