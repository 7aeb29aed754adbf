"""Times as users give them."""

from argparse import ArgumentTypeError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chronon_beam.api.time_text import moment_text, parse_moment

YEAR_ONE_MS, YEAR_9999_MS = -62_135_596_800_000, 253_402_300_799_999


@given(st.integers(YEAR_ONE_MS, YEAR_9999_MS))
def test_time_as_text_is_read_back(ms: int) -> None:
    text = moment_text(ms)
    assert text.endswith("Z")
    assert parse_moment(text) == ms == parse_moment(str(ms))


@pytest.mark.parametrize("text", ["", "now", "2026-13-01", "1.5", "12:00"])
def test_text_that_is_not_a_time_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="milliseconds since the epoch"):
        parse_moment(text)
