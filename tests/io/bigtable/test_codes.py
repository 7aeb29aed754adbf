"""Which errors pass, and how long writers pause for them."""

import grpc
import pytest

from chronon_beam.io.bigtable.codes import AMBIGUOUS_ATTEMPTS, Status, may_pass, pause_s

Code = grpc.StatusCode


@pytest.mark.parametrize("code", list(Code), ids=lambda code: code.name)
def test_each_code_is_waited_for_or_doubted_or_final(code: grpc.StatusCode) -> None:
    waited_for = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "ABORTED", "CANCELLED", "RESOURCE_EXHAUSTED"}
    doubted = {"INTERNAL", "UNKNOWN"}
    passes = [may_pass(Status(code.value[0], ""), tries) for tries in (1, AMBIGUOUS_ATTEMPTS)]
    assert passes == [code.name in waited_for | doubted, code.name in waited_for]


def test_pauses_grow_to_five_seconds_and_are_of_random_length() -> None:
    longest = [pause_s(number, lambda: 1.0) for number in range(1, 12)]
    assert longest[:3] == [0.1, 0.2, 0.4]
    assert longest == sorted(longest)
    assert longest[-1] == 5.0
    assert pause_s(3, lambda: 0.0) == pytest.approx(0.04)
    assert len({pause_s(3) for _ in range(20)}) > 10
