"""The example on real data gives what plain Python says."""

import gzip
import json
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from drawing import alike
from jobs import Outcome, job_of, run

from chronon_beam.api.load import load_group_by
from chronon_beam.io.sources import open_source
from chronon_beam.pipeline.runners.embedded import embedded_runner

FLIGHTS = Path(__file__).parents[2] / "examples" / "flights"
AT_MS = 1_357_250_400_000
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    source = open_source(f"file:{FLIGHTS / 'flights.jsonl.gz'}")
    group_by = load_group_by(str(FLIGHTS / "group_by.py"))
    schema = source.schema()
    assert schema is not None
    return run(job_of(group_by, schema, shards=1), source.transform(schema))


def flights(carrier: str, origin: str, from_ms: int) -> list[dict[str, Any]]:
    """Flights that left before the query and not before `from_ms`, earliest first."""
    found = []
    for line in gzip.decompress((FLIGHTS / "flights.jsonl.gz").read_bytes()).splitlines():
        flight = json.loads(line)
        if flight["dep_delay"] is None or (flight["carrier"], flight["origin"]) != (
            carrier,
            origin,
        ):
            continue
        hour = datetime.fromisoformat(flight["time_hour"]).timestamp() * 1000
        flight["ts"] = int(hour) + (flight["minute"] + flight["dep_delay"]) * 60_000
        if from_ms <= flight["ts"] < AT_MS // 300_000 * 300_000 + 300_000:
            found.append(flight)
    return sorted(found, key=lambda flight: flight["ts"])


@pytest.mark.parametrize(("carrier", "origin"), [("UA", "EWR"), ("B6", "JFK"), ("HA", "JFK")])
def test_flights_have_the_delays_that_plain_python_finds(
    outcome: Outcome, carrier: str, origin: str
) -> None:
    (found,) = outcome.features([{"carrier": carrier, "origin": origin}], AT_MS)
    six_hours = flights(carrier, origin, AT_MS - 6 * HOUR_MS)
    day = flights(carrier, origin, (AT_MS - 24 * HOUR_MS) // HOUR_MS * HOUR_MS)
    arrived = [f["arr_delay"] for f in day if f["arr_delay"] is not None]
    long = [f["dep_delay"] for f in day if f["distance"] >= 800]
    assert found["flight_count_6h"] == (len(six_hours) or None)
    assert found["flight_count_1d"] == (len(day) or None)
    assert alike(found["arr_delay_average_1d"], fmean(arrived) if arrived else None)
    assert found["dep_delay_max_6h"] == max((f["dep_delay"] for f in six_hours), default=None)
    by_length = found["dep_delay_average_1d_by_length"] or {}
    assert alike(by_length.get("long"), fmean(long) if long else None)
    assert found["tailnum_unique_count_1d"] == (len({f["tailnum"] for f in day}) or None)


def test_cancelled_flights_are_filtered(outcome: Outcome) -> None:
    assert outcome.counts["messages"] == 2699
    assert outcome.counts["filtered"] == 22
    assert outcome.nothing_is_missing()


@pytest.mark.parametrize("buffered", [False, True])
@pytest.mark.parametrize("streaming", [False, True])
def test_ice_cream_from_its_file_in_batch_and_streaming(buffered: bool, streaming: bool) -> None:
    """On both of Beam's embedded runners."""
    folder = FLIGHTS.parent / "ice_cream"
    source = open_source(f"file:{folder / 'events.jsonl'}")
    schema = source.schema()
    assert schema is not None
    job = job_of(load_group_by(str(folder / "group_by.py")), schema)
    found = run(job, source.transform(job.columns), embedded_runner(buffered), streaming=streaming)
    assert found.features([{"customer_id": "Alice"}, {"customer_id": "Bob"}], 2000) == [
        {"customer_id_count_6h": 2, "flavor_last_6h": "olive oil"},
        {"customer_id_count_6h": 1, "flavor_last_6h": "strawberry"},
    ]
    assert found.nothing_is_missing()
